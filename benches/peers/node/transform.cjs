// Access log lines to JSON with the client's place, after the blueprint of a Firehose function.
"use strict";

const { open } = require("maxmind");

const LINE =
  /^(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"\s*$/;
const MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec";
const PLACES = open(process.env.PLACES, { cache: { max: 10_000 } });
const FILTER = "FILTER" in process.env;

function time(text) {
  const [, day, month, year, clock, offset] =
    /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})$/.exec(text);
  const number = String(MONTHS.indexOf(month) / 3 + 1).padStart(2, "0");
  const zone = `${offset.slice(0, 3)}:${offset.slice(3)}`;
  return new Date(`${year}-${number}-${day}T${clock}${zone}`).toISOString().replace(".000", "");
}

function optional(text) {
  return text === "-" ? undefined : text;
}

function row(line) {
  const found = LINE.exec(line);
  if (!found) return null;
  const [method, path, protocol] = found[5].split(" ");
  return {
    client: found[1],
    ident: optional(found[2]),
    user: optional(found[3]),
    time: time(found[4]),
    method,
    path,
    protocol,
    status: Number(found[6]),
    bytes: found[7] === "-" ? undefined : Number(found[7]),
    referer: optional(found[8]),
    user_agent: optional(found[9]),
  };
}

function place(places, made) {
  let found = null;
  try {
    found = places.get(made.client);
  } catch {
    return;
  }
  if (!found) return;
  made.geo_country = found.country?.iso_code;
  made.geo_region = found.subdivisions?.[0]?.names?.en;
  made.geo_city = found.city?.names?.en;
  made.geo_latitude = found.location?.latitude;
  made.geo_longitude = found.location?.longitude;
  made.geo_time_zone = found.location?.time_zone;
}

function convert(places, { recordId, data }) {
  const made = row(Buffer.from(data, "base64").toString("utf8"));
  if (!made) return { recordId, result: "ProcessingFailed", data };
  if (FILTER && !(made.status >= 400 && !made.path.startsWith("/images"))) {
    return { recordId, result: "Dropped" };
  }
  place(places, made);
  const line = Buffer.from(`${JSON.stringify(made)}\n`).toString("base64");
  return { recordId, result: "Ok", data: line };
}

exports.handler = async (event) => {
  const places = await PLACES;
  return { records: event.records.map((record) => convert(places, record)) };
};
