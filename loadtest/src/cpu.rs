//! CPU time and memory of another process and of its children, from /proc.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// What Linux counts CPU time in towards programs, on every machine.
const TICKS_PER_SECOND: u64 = 100;

/// User and system time that the process and its living children have used, all threads.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> anyhow::Result<Duration> {
    let ticks = ticks(pid).with_context(|| format!("cannot read the CPU time of process {pid}"))?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

fn ticks(pid: u32) -> anyhow::Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in brackets, which may hold blanks.
    let fields = stat.rsplit_once(')').context("odd stat")?.1.split_whitespace();
    let mut times = fields.skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next().context("odd stat")??, times.next().context("odd stat")??);
    let mut all = user + system;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all += ticks(child.parse()?)?;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_seen() {
        let before = of(std::process::id()).unwrap();
        let mut sum = 0_u64;
        while of(std::process::id()).unwrap() == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(of(u32::MAX).is_err());
    }
}
