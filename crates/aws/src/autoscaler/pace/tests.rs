use tokio::time::{Instant, sleep};

use super::*;

#[test]
fn turns_are_apart_and_the_first_is_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime can be made");
    runtime.block_on(async {
        let pace = Pace::new(Duration::from_millis(100));
        let mut seen = Vec::new();
        let started = Instant::now();
        for rest in [0, 0, 0, 1_000, 0] {
            sleep(Duration::from_millis(rest)).await;
            pace.turn().await;
            seen.push(started.elapsed().as_millis());
        }
        assert_eq!(seen, [0, 100, 200, 1_200, 1_300]);
    });
}
