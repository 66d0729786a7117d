//! Metrics of many streams, shards or consumers, in as few requests as hold them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use aws_sdk_cloudwatch::types::builders::MetricDataQueryBuilder;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use jiff::Timestamp;
use tidegate_autoscaler::observation::{Metrics, Point};
use tidegate_autoscaler::port::ServiceError;

use super::Aws;
use super::errors::{service_error, unreadable};

const OPERATION: &str = "GetMetricData";

/// Queries that a request holds at the most (API reference of GetMetricData, 2026-11).
const QUERIES_PER_REQUEST: usize = 500;

/// Points that a page holds at the most (same page), over all its queries.
const POINTS_PER_PAGE: usize = 100_800;

/// Kinesis publishes a point a minute.
const PERIOD_SECS: i32 = 60;

/// A metric's name, its statistic, and where its points go.
type Wanted = (&'static str, &'static str, fn(&mut Metrics) -> &mut Vec<Point>);

/// What is read of a stream.
const OF_STREAM: &[Wanted] = &[
    ("IncomingBytes", "Sum", |metrics| &mut metrics.incoming_bytes),
    ("IncomingRecords", "Sum", |metrics| &mut metrics.incoming_records),
    ("WriteProvisionedThroughputExceeded", "Sum", |metrics| &mut metrics.write_throttled),
    ("GetRecords.IteratorAgeMilliseconds", "Maximum", |metrics| &mut metrics.iterator_age_ms),
    ("GetRecords.Bytes", "Sum", |metrics| &mut metrics.read_bytes),
];

/// How many of these are read of each shard: it has a metric of age of its own, which is not what
/// is asked there.
const OF_SHARD: usize = 3;

/// How many are read of a stream whose readers are not looked at.
const WITHOUT_READERS: usize = 4;

/// What is read of a consumer with enhanced fan-out.
const OF_CONSUMER: &[Wanted] =
    &[("SubscribeToShardEvent.MillisBehindLatest", "Maximum", |m| &mut m.iterator_age_ms)];

/// A span of time, by the minute.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
}

impl Aws {
    /// The metrics of streams, by their names.
    pub(super) async fn of_streams(
        &self,
        streams: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let of = |stream| vec![("StreamName", stream)];
        let wanted = if self.reads { OF_STREAM } else { &OF_STREAM[..WITHOUT_READERS] };
        self.batches(streams, of, wanted, Span { from, to }).await
    }

    /// The metrics of shards, by their ids.
    pub(super) async fn of_shards(
        &self,
        stream: &str,
        shards: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let of = |shard| vec![("StreamName", stream), ("ShardId", shard)];
        self.batches(shards, of, &OF_STREAM[..OF_SHARD], Span { from, to }).await
    }

    /// How far each of the consumers is behind, by the minute.
    pub(super) async fn of_consumers(
        &self,
        stream: &str,
        consumers: &[String],
        from: Timestamp,
        to: Timestamp,
    ) -> Result<BTreeMap<String, Vec<Point>>, ServiceError> {
        let of = |consumer| vec![("StreamName", stream), ("ConsumerName", consumer)];
        let all = self.batches(consumers, of, OF_CONSUMER, Span { from, to }).await?;
        Ok(all.into_iter().map(|(name, metrics)| (name, metrics.iterator_age_ms)).collect())
    }

    /// Reads what is wanted of each target, whose dimensions `of` says. One request after the other:
    /// there is a quota on points a second, which a page at a time does not come near to.
    async fn batches<'t>(
        &self,
        targets: &'t [String],
        of: impl Fn(&'t str) -> Vec<(&'static str, &'t str)>,
        wanted: &[Wanted],
        span: Span,
    ) -> Result<BTreeMap<String, Metrics>, ServiceError> {
        let mut all = BTreeMap::new();
        for targets in targets.chunks(QUERIES_PER_REQUEST / wanted.len()) {
            let mut queries = Vec::with_capacity(targets.len() * wanted.len());
            for (at, target) in targets.iter().enumerate() {
                for (metric, (name, statistic, _)) in wanted.iter().enumerate() {
                    let id = id(at, metric);
                    queries.push(query(&id, name, statistic, PERIOD_SECS, &of(target)).build());
                }
            }
            let mut batch = vec![Some(Metrics::default()); targets.len()];
            self.read(queries, span, |id, result| {
                let Some((target, metric)) = parse(id) else { return };
                let (Some(slot), Some((.., field))) = (batch.get_mut(target), wanted.get(metric))
                else {
                    return;
                };
                match (slot.as_mut(), result.status_code()) {
                    // Half of the truth about a target is none: it is missing in the answer.
                    (_, Some(StatusCode::InternalError | StatusCode::Forbidden)) => *slot = None,
                    (Some(metrics), _) => field(metrics).extend(points(result)),
                    (None, _) => {}
                }
            })
            .await?;
            let named = targets.iter().cloned().zip(batch);
            all.extend(named.filter_map(|(target, metrics)| Some((target, metrics?))));
        }
        Ok(all)
    }

    /// Sends one request, reads all its pages, and hands each result on with its id.
    async fn read(
        &self,
        queries: Vec<MetricDataQuery>,
        span: Span,
        mut result: impl FnMut(&str, &MetricDataResult),
    ) -> Result<(), ServiceError> {
        let most = pages(queries.len(), span);
        let mut pages = self
            .cloudwatch
            .get_metric_data()
            .set_metric_data_queries(Some(queries))
            .start_time(SystemTime::from(span.from).into())
            .end_time(SystemTime::from(span.to).into())
            .scan_by(ScanBy::TimestampAscending)
            .into_paginator()
            .send();
        let mut read = 0;
        while let Some(page) = pages.next().await {
            self.tally.add(OPERATION);
            read += 1;
            if read > most {
                // What is left could be the newest minutes.
                return Err(unreadable(OPERATION, "it has more pages than the points can fill"));
            }
            let page = page.map_err(|error| service_error(OPERATION, &error))?;
            for found in page.metric_data_results() {
                result(found.id().unwrap_or_default(), found);
            }
        }
        Ok(())
    }
}

/// The id of a query: the number of the target in its request, and of the metric.
fn id(target: usize, metric: usize) -> String {
    format!("t{target}m{metric}")
}

fn parse(id: &str) -> Option<(usize, usize)> {
    let (target, metric) = id.strip_prefix('t')?.split_once('m')?;
    Some((target.parse().ok()?, metric.parse().ok()?))
}

/// Pages of an answer that are read at the most: twice what the points need, since CloudWatch may
/// end a page early, and two more.
fn pages(queries: usize, span: Span) -> usize {
    let minutes = span.to.duration_since(span.from).as_mins().max(0);
    let points = queries.saturating_mul(usize::try_from(minutes).unwrap_or(usize::MAX));
    points.div_ceil(POINTS_PER_PAGE).saturating_mul(2).saturating_add(2)
}

/// A query of a metric of Kinesis.
pub(super) fn query(
    id: &str,
    name: &str,
    statistic: &str,
    period_secs: i32,
    dimensions: &[(&str, &str)],
) -> MetricDataQueryBuilder {
    let mut metric = Metric::builder().namespace("AWS/Kinesis").metric_name(name);
    for (name, value) in dimensions {
        metric = metric.dimensions(Dimension::builder().name(*name).value(*value).build());
    }
    let stat = MetricStat::builder().metric(metric.build()).period(period_secs).stat(statistic);
    MetricDataQuery::builder().id(id).metric_stat(stat.build())
}

fn points(result: &MetricDataResult) -> impl Iterator<Item = Point> {
    let points = result.timestamps().iter().zip(result.values());
    points.filter_map(|(at, value)| Some((Timestamp::from_second(at.secs()).ok()?, *value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for (target, metric) in [(0, 0), (124, 3), (7, 1)] {
            assert_eq!(parse(&id(target, metric)), Some((target, metric)));
        }
        for other in ["", "m1", "t1", "t1m", "x1m1", "t-1m0"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn pages_are_bounded_by_the_points_that_there_can_be() {
        let span = |minutes| Span {
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes),
        };
        let cases = [(4, 26 * 60, 4), (500, 180, 4), (500, 26 * 60, 18), (500, -5, 2)];
        for (queries, minutes, most) in cases {
            assert_eq!(pages(queries, span(minutes)), most, "{queries} queries, {minutes} minutes");
        }
    }
}
