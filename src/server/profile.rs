//! Profiles, behind `--profiling`: where the time goes, and how much memory there is.
//!
//! CPU profiles need the cargo feature `profiling`: sampling unwinds inside a signal handler, which does not belong into a
//! binary that nobody wants to profile.

use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use schemars::JsonSchema;
use serde::Serialize;

use super::Shared;
use super::problem::Problem;

/// What the system says about the process's memory, in bytes.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Memory {
    /// In memory now.
    resident: u64,
    /// In memory at most, since the start.
    peak: u64,
    /// Of that: allocated by the process, not mapped from files.
    anonymous: u64,
    /// Addresses taken.
    mapped: u64,
    /// Threads.
    threads: u64,
}

/// `/debug/pprof/…`, or nothing.
pub(super) fn router(enabled: bool) -> Router<Shared> {
    if !enabled {
        return Router::new();
    }
    Router::new()
        .route("/debug/pprof/profile", get(profile))
        .route("/debug/memory", get(memory))
}

async fn memory() -> Result<Json<Memory>, Problem> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|error| {
        Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "NoMemoryFigures",
            format!("this system does not tell: {error}"),
        )
    })?;
    Ok(Json(read_status(&status)))
}

/// Reads `/proc/self/status`, whose sizes are in KiB.
fn read_status(status: &str) -> Memory {
    let number = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or_default()
    };
    Memory {
        resident: number("VmRSS") * 1024,
        peak: number("VmHWM") * 1024,
        anonymous: number("RssAnon") * 1024,
        mapped: number("VmSize") * 1024,
        threads: number("Threads"),
    }
}

#[cfg(not(feature = "profiling"))]
async fn profile() -> Problem {
    Problem::new(
        StatusCode::NOT_IMPLEMENTED,
        "NotBuiltIn",
        "this binary was built without CPU profiles",
    )
    .help("build it with `--features profiling`")
}

#[cfg(feature = "profiling")]
use sampling::profile;

/// Samples for a while; gives pprof's format, which `go tool pprof` reads.
#[cfg(feature = "profiling")]
mod sampling {
    use std::time::Duration;

    use axum::extract::Query;
    use axum::http::{StatusCode, header};
    use axum::response::{IntoResponse as _, Response};
    use pprof::ProfilerGuardBuilder;
    use pprof::protos::Message as _;
    use serde::Deserialize;

    use super::Problem;

    /// Samples of a second: a number that nothing else beats in time with.
    const FREQUENCY: i32 = 99;

    /// How long to look.
    #[derive(Deserialize)]
    pub(super) struct Span {
        #[serde(default = "ten")]
        seconds: u64,
    }

    fn ten() -> u64 {
        10
    }

    pub(super) async fn profile(Query(span): Query<Span>) -> Result<Response, Problem> {
        let guard = ProfilerGuardBuilder::default()
            .frequency(FREQUENCY)
            .blocklist(&["libc", "libgcc", "pthread", "vdso"])
            .build()
            .map_err(failed)?;
        tokio::time::sleep(Duration::from_secs(span.seconds.clamp(1, 120))).await;
        let report = guard.report().build().map_err(failed)?;
        let profile = report.pprof().map_err(failed)?;
        let headers = [(header::CONTENT_TYPE, "application/octet-stream")];
        Ok((headers, profile.encode_to_vec()).into_response())
    }

    fn failed(error: pprof::Error) -> Problem {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "ProfileFailed", error.to_string())
            .help("only one profile can be taken at a time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_bytes() {
        let memory = read_status(
            "Name:\tstellate\nVmSize:\t  2048 kB\nVmHWM:\t  20 kB\nVmRSS:\t  10 kB\nRssAnon:\t 8 kB\nThreads:\t4\n",
        );
        assert_eq!((memory.resident, memory.peak), (10_240, 20_480));
        assert_eq!((memory.anonymous, memory.mapped), (8_192, 2_097_152));
        assert_eq!(memory.threads, 4);
    }
}
