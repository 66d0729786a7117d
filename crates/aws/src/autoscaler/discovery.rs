//! Which streams asked to be kept the right size.
//!
//! The tagging API names them with all their tags, a hundred a page. ListTagsForStream would be one
//! call a stream, of which an account may make five a second (API reference of ListTagsForStream,
//! 2026-11). What it does not know, a stream's state and mode, comes from ListStreams.

use std::collections::BTreeMap;

use aws_sdk_resourcegroupstagging::types::{ResourceTagMapping, TagFilter};
use tidegate_autoscaler::observation::{Capacity, Status};
use tidegate_autoscaler::port::{Found, OPT_IN_TAG, ServiceError};

use super::Aws;
use super::errors::{service_error, unreadable};
use super::kinesis::{capacity, status};

/// Pages of either listing that are read at the most, of a hundred streams each.
const MAX_PAGES: usize = 200;

impl Aws {
    /// The streams that opted in.
    pub(super) async fn discover(&self) -> Result<Vec<Found>, ServiceError> {
        let tagged = self.tagged().await?;
        if tagged.is_empty() {
            return Ok(Vec::new());
        }
        let states = self.states().await?;
        // The tagging API may still name a stream that is gone.
        let found = tagged.into_iter().filter_map(|(name, tags)| {
            let (status, capacity) = *states.get(&name)?;
            Found::opts_in(&tags).then_some(Found { name, tags, status, capacity })
        });
        Ok(found.collect())
    }

    /// The streams with the tag, and all their tags.
    async fn tagged(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, ServiceError> {
        const OPERATION: &str = "GetResources";
        let mut pages = self
            .tagging
            .get_resources()
            .resource_type_filters("kinesis:stream")
            .tag_filters(TagFilter::builder().key(OPT_IN_TAG).build())
            .resources_per_page(100)
            .into_paginator()
            .send();
        let mut found = BTreeMap::new();
        for _ in 0..MAX_PAGES {
            let Some(page) = pages.next().await else { return Ok(found) };
            self.tally.add(OPERATION);
            let page = page.map_err(|error| service_error(OPERATION, &error))?;
            found.extend(page.resource_tag_mapping_list().iter().filter_map(of_stream));
        }
        Err(unreadable(OPERATION, "it names more than 20,000 streams"))
    }

    /// The state and the mode of every stream of the account.
    async fn states(&self) -> Result<BTreeMap<String, (Status, Capacity)>, ServiceError> {
        const OPERATION: &str = "ListStreams";
        // A page holds a hundred, whatever is asked for beyond.
        let mut pages = self.kinesis.list_streams().limit(100).into_paginator().send();
        let mut found = BTreeMap::new();
        for _ in 0..MAX_PAGES {
            self.paces.streams.turn().await;
            let Some(page) = pages.next().await else { return Ok(found) };
            self.tally.add(OPERATION);
            let page = page.map_err(|error| service_error(OPERATION, &error))?;
            // Whoever leaves the summaries out, as some emulators do, still names the streams.
            let unknown = (Status::Unknown, Capacity::Provisioned);
            found.extend(page.stream_names().iter().map(|name| (name.clone(), unknown)));
            found.extend(page.stream_summaries().iter().map(|stream| {
                let state =
                    (status(stream.stream_status()), capacity(stream.stream_mode_details()));
                (stream.stream_name().to_owned(), state)
            }));
        }
        Err(unreadable(OPERATION, "it names more than 20,000 streams"))
    }
}

fn of_stream(resource: &ResourceTagMapping) -> Option<(String, BTreeMap<String, String>)> {
    let name = resource.resource_arn()?.split_once(":stream/")?.1;
    let tags = resource.tags().iter();
    let tags = tags.map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect();
    // A consumer of a stream has the stream's name and more.
    (!name.contains('/')).then(|| (name.to_owned(), tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_known_by_its_arn() {
        let name = |arn: &str| {
            let resource = ResourceTagMapping::builder().resource_arn(arn).build();
            of_stream(&resource).map(|(name, _)| name)
        };
        let cases = [
            ("arn:aws:kinesis:us-east-1:111122223333:stream/orders", Some("orders")),
            ("arn:aws-cn:kinesis:cn-north-1:111122223333:stream/a.b_c-d", Some("a.b_c-d")),
            ("arn:aws:kinesis:us-east-1:111122223333:stream/orders/consumer/fraud:1", None),
            ("arn:aws:sqs:us-east-1:111122223333:orders", None),
        ];
        for (arn, wanted) in cases {
            assert_eq!(name(arn).as_deref(), wanted, "{arn}");
        }
    }
}
