//! Memory that stays with the process between invocations.

/// The most that glibc takes as the size from which a block is a mapping of its own: half a heap of
/// 64 MiB (`HEAP_MAX_SIZE`, malloc/arena.c, glibc 2.34, which Amazon Linux 2023 has).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MAPPING_BYTES: i32 = 32 << 20;

/// Keeps what an invocation gave back for the next one. glibc would return the megabytes of each
/// event to the kernel, to have them mapped and cleared page by page for the next event: for an event
/// of 2 MB an eighth of all processor time. The memory is the function's alone, and billed whether it
/// is used or not.
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "glibc is not asked otherwise")]
    // SAFETY: both set a number of the allocator, under its own lock. One that is refused changes
    // nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
