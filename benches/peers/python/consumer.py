"""A batch of JSON records with Powertools."""

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)

PROCESSOR = BatchProcessor(event_type=EventType.KinesisDataStreams)


def handle(record):
    order = record.kinesis.data_as_json()
    return order["total_cents"]


def handler(event, context):
    return process_partial_response(
        event=event, record_handler=handle, processor=PROCESSOR, context=context
    )
