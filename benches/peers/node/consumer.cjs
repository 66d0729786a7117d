// A batch of JSON records with Powertools.
"use strict";

const {
  BatchProcessorSync,
  EventType,
  processPartialResponseSync,
} = require("@aws-lambda-powertools/batch");

const processor = new BatchProcessorSync(EventType.KinesisDataStreams);

function handle(record) {
  const order = JSON.parse(Buffer.from(record.kinesis.data, "base64").toString("utf8"));
  return order.total_cents;
}

exports.handler = async (event, context) =>
  processPartialResponseSync(event, handle, processor, { context });
