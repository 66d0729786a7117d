//! Calling a function of Lambda.

use std::time::Duration;

use super::{Answer, Ask, CallError, Caller, escaped};

impl Caller {
    /// Calls a function, and gives its answer with what kind of error the function had, if it had
    /// one ("Invoke", AWS Lambda API reference, 2026-11).
    ///
    /// # Errors
    /// When there is no answer within `within`, which may be as long as a function may run.
    pub async fn invoke(
        &self,
        function: &str,
        event: Vec<u8>,
        within: Duration,
    ) -> Result<(Answer, Option<String>), CallError> {
        let place = self.endpoint("LAMBDA", "lambda", None)?;
        // A colon of an ARN or before an alias stands in a path as it is.
        let name = escaped(function, ":/");
        let url = format!("{}/2015-03-31/functions/{name}/invocations", place.url);
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-amz-invocation-type", "RequestResponse".to_owned()),
        ];
        let ask = Ask { method: "POST", url: &url, headers, body: event };
        let request = self.signed(ask, ("lambda", &place.region)).await?;
        let mut answer = self.exchange(request, within).await?;
        let error = answer.function_error.take();
        Ok((answer, error))
    }
}
