//! `tidegate pause` and `tidegate resume`: the tag that makes the autoscaler hold.

/// Which stream.
#[derive(clap::Args)]
pub struct Arguments {
    /// The stream, with the usual AWS credentials and Region
    #[arg(long, value_name = "NAME")]
    stream: String,
}

/// Without the AWS SDK there is no tag to set.
#[cfg(not(feature = "aws"))]
pub fn run(_arguments: &Arguments, pause: bool) -> anyhow::Result<()> {
    Err(crate::needs_aws(if pause { "`pause`" } else { "`resume`" }))
}

/// Sets the tag, and says what it did.
#[cfg(feature = "aws")]
pub fn run(arguments: &Arguments, pause: bool) -> anyhow::Result<()> {
    use crate::aws;

    let said = aws::block_on(async {
        change(&aws::service().await, &arguments.stream, pause).await.map_err(Into::into)
    })?;
    crate::print(&said)
}

#[cfg(any(feature = "aws", test))]
async fn change<S: tidegate_autoscaler::port::StreamService>(
    service: &S,
    stream: &str,
    pause: bool,
) -> Result<String, tidegate_autoscaler::port::ServiceError> {
    use tidegate_autoscaler::tags::{PAUSED_TAG, is_paused};

    let tags = service.tags(stream).await?;
    if is_paused(&tags) == pause {
        let state = if pause { "paused already" } else { "not paused" };
        return Ok(format!("{stream} was {state}; nothing was changed"));
    }
    service.set_tag(stream, PAUSED_TAG, if pause { "true" } else { "false" }).await?;
    Ok(if pause {
        format!(
            "{stream} is paused (tag {PAUSED_TAG}=true): the autoscaler holds until `tidegate \
             resume --stream {stream}`"
        )
    } else {
        format!("{stream} is paused no longer (tag {PAUSED_TAG}=false)")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::{SignedDuration, Timestamp};
    use rand_pcg::Pcg64Mcg;
    use tidegate_autoscaler::tags::PAUSED_TAG;
    use tidegate_local::cloud::{Cloud, Service};
    use tidegate_local::metrics::{Delay, Metrics};
    use tidegate_local::stream::{Settings, Stream};

    use super::*;

    #[test]
    fn the_tag_is_set_once_and_said() {
        let stream = Stream::new(Settings {
            name: "orders".into(),
            shards: 1,
            account_shards: 200,
            per_operation: SignedDuration::from_secs(30),
            readers: 0,
        });
        let metrics =
            Metrics::new(Delay::default(), SignedDuration::from_hours(1), Pcg64Mcg::new(0));
        let cloud = Mutex::new(Cloud { stream, metrics, now: Timestamp::UNIX_EPOCH });
        let service = Service::new(&cloud);
        // pause?, what is said, the tag after it
        let cases = [
            (false, "orders was not paused; nothing was changed", None),
            (true, "the autoscaler holds until `tidegate resume --stream orders`", Some("true")),
            (true, "orders was paused already; nothing was changed", Some("true")),
            (false, "orders is paused no longer (tag tidegate:paused=false)", Some("false")),
        ];
        for (pause, message, tag) in cases {
            let said = pollster::block_on(change(&service, "orders", pause)).unwrap();
            assert!(said.contains(message), "{said}");
            let tags = &cloud.lock().unwrap().stream.tags;
            assert_eq!(tags.get(PAUSED_TAG).map(String::as_str), tag, "{message}");
        }
        let error = pollster::block_on(change(&service, "clicks", true)).unwrap_err();
        assert!(error.to_string().contains("ResourceNotFoundException"), "{error}");
    }
}
