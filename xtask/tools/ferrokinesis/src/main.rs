//! The ferrokinesis emulator on a port of this machine, until it is killed.

use std::error::Error;
use std::net::Ipv4Addr;

use axum::extract::DefaultBodyLimit;
use clap::Parser;
use ferrokinesis::create_app;
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;

/// What a PutRecords request of 10 MiB is in Base64, and its JSON.
const BODY_BYTES_MAX: usize = 16 << 20;

#[derive(Parser)]
struct Arguments {
    /// The port
    #[arg(long)]
    port: u16,
    /// Throttle each shard at 1,000 records and 1 MiB a second
    #[arg(long)]
    enforce_limits: bool,
    /// Open shards of the account at the most
    #[arg(long, default_value_t = 200)]
    shard_limit: u32,
    /// How long a stream takes to be made or resharded, in milliseconds
    #[arg(long, default_value_t = 100)]
    change_ms: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let options = StoreOptions {
        enforce_limits: arguments.enforce_limits,
        shard_limit: arguments.shard_limit,
        create_stream_ms: arguments.change_ms,
        update_stream_ms: arguments.change_ms,
        ..StoreOptions::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, arguments.port)).await?;
        let (app, _) = create_app(options);
        axum::serve(listener, app.layer(DefaultBodyLimit::max(BODY_BYTES_MAX))).await?;
        Ok(())
    })
}
