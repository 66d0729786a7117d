//! What a request takes of memory, counted by the allocator: at most six times its bytes from 256 kB
//! on, which leaves the host two for the event as it comes in. What the built function takes is
//! measured by `cargo xtask bench transform`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(unsafe_code, reason = "an allocator is unsafe to write")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate_transform::{Engine, Pipeline, Tables, contract};

/// Counts, and has the system do the work.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    /// Large blocks grow where they are, or their pages are moved and not copied.
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        let now = NOW.fetch_add(size, Ordering::Relaxed) + size;
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Of the eight times that are promised for the whole function.
const TIMES_MOST: usize = 6;

const ACCESS: &str = "input: {format: apache_combined}\nsteps: [{user_agent: {field: user_agent}}]";

/// A record's data by its number, under a pipeline, and how long ids are: Firehose's have 160
/// characters, in AWS's older samples 56.
type Shape = (&'static str, &'static str, fn(usize) -> String, usize);

const SHAPES: [Shape; 6] = [
    ("access lines", ACCESS, access, 160),
    ("lines of one byte", "input: {format: text}", |_| "x".to_owned(), 160),
    ("lines of one byte, old ids", "input: {format: text}", |_| "x".to_owned(), 56),
    ("many fields", "input: {format: json}", fields, 56),
    ("lines in a record", "input: {format: apache_combined, unwrap: lines}", lines, 160),
    ("what nothing reads", "input: {format: json}", |_| "\u{1}".repeat(900_000), 160),
];

fn access(number: usize) -> String {
    format!(
        "192.0.2.{} - - [14/Nov/2026:10:30:01 +0100] \"GET /orders/{number} HTTP/1.1\" 200 5 \
         \"https://shop.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64; rv:{number}.0) Firefox\"\n",
        number % 256
    )
}

fn fields(number: usize) -> String {
    let fields: Vec<_> = (0..1_000).map(|n| format!("\"Field {n}\":{}", n + number)).collect();
    format!("{{{}}}", fields.join(","))
}

fn lines(number: usize) -> String {
    (0..4_000).map(|n| access(number + n)).collect()
}

/// A request of at least so many bytes, its ids as long as that.
fn request(bytes: usize, id: usize, data: fn(usize) -> String) -> String {
    let mut request = r#"{"invocationId":"i","records":["#.to_owned();
    let mut number = 0;
    while request.len() < bytes {
        if number > 0 {
            request.push(',');
        }
        let data = base64_simd::STANDARD.encode_to_string(data(number));
        request += &format!(
            r#"{{"recordId":"{number:0id$}","approximateArrivalTimestamp":1794648600100,"data":"{data}"}}"#
        );
        number += 1;
    }
    request + "]}"
}

#[test]
fn a_request_takes_memory_by_its_length_and_no_more() {
    for (name, yaml, data, id) in SHAPES {
        for bytes in [256_000, 1_000_000, 6_000_000] {
            let pipeline = Pipeline::compile(yaml, Tables::default()).unwrap();
            let mut engine = Engine::new(pipeline);
            let event = request(bytes, id, data);
            let before = NOW.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            let mut response = Vec::new();
            let report = engine.transform(event.as_bytes(), &mut response).unwrap();
            let peak = PEAK.load(Ordering::Relaxed) - before;
            assert!(report.handed > 0, "{name}");
            let broken = contract::check(event.as_bytes(), &response).err();
            assert!(
                broken.is_none(),
                "{name}: {:?}",
                broken.and_then(|all| all.into_iter().next())
            );
            let times = peak as f64 / event.len() as f64;
            assert!(
                peak <= TIMES_MOST * event.len(),
                "{name}: {peak} bytes are {times:.1} times the {} of the event",
                event.len()
            );
        }
    }
}
