// A batch of KPL aggregates of JSON records, with another project's codec.
"use strict";

const { deaggregateSync } = require("aws-kinesis-agg");

exports.handler = async (event) => {
  let total = 0;
  for (const { kinesis } of event.Records) {
    deaggregateSync(kinesis, true, (error, records) => {
      if (error) throw error;
      for (const record of records) {
        total += JSON.parse(Buffer.from(record.data, "base64").toString("utf8")).total_cents;
      }
    });
  }
  return total > 0 ? { batchItemFailures: [] } : { batchItemFailures: [{ itemIdentifier: "" }] };
};
