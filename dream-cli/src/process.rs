//! Which process this is, by a name that no other one of this machine ever had, and whether such a process has ended.
//!
//! The name is the host, the process id, and when the process started (`proc(5)`: `starttime`, in ticks since the
//! machine did), since ids are used again. Where `/proc` is missing there is no name, and nobody is taken for dead.
//! A process of another host is never judged from here.

use std::fs;

/// The name of this process.
pub(crate) fn name() -> Option<String> {
    let pid = std::process::id();
    Some(format!("{}/{pid}/{}", host()?, started(pid)?))
}

/// Whether the process of this name was one of this host and runs no more.
pub(crate) fn has_ended(name: &str) -> bool {
    let mut parts = name.rsplitn(3, '/');
    let (Some(start), Some(pid), Some(at)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let Ok(pid) = pid.parse() else { return false };
    host().is_some_and(|here| here == at) && started(pid).is_none_or(|since| since != start)
}

fn host() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// When the process of this id started; `None` if there is none, or if it only waits to be reaped.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    fields.nth(18).filter(|_| !matches!(state, "Z" | "X")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_has_ended_once_it_is_killed_and_not_before() {
        assert!(!has_ended(&name().unwrap()), "this one runs");
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let named = format!("{}/{}/{}", host().unwrap(), child.id(), started(child.id()).unwrap());
        assert!(!has_ended(&named));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(has_ended(&named));
    }

    #[test]
    fn an_id_that_is_used_again_is_another_process() {
        let (host, pid) = (host().unwrap(), std::process::id());
        assert!(has_ended(&format!("{host}/{pid}/1")));
    }

    #[test]
    fn nobody_elsewhere_and_no_other_name_is_taken_for_dead() {
        for name in ["another-host/1/1", "", "x", "1/2", "another/host/4294967295/1", "host/none/1"] {
            assert!(!has_ended(name), "{name}");
        }
    }
}
