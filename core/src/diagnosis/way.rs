//! The checks of the way to the consumer: name servers, addresses, the proxy, TCP. And the file mode of
//! our key, which must be asked of the system too.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::checks::Check;
use super::report::Results;
use super::verdict::check_of;
use crate::dispatcher::examination::Examination;
use crate::error::{Error, Kind, Stage, cause, key, saturating_millis};
use crate::net::{Host, judge_all, name_servers};
use crate::runtime;

/// How long to wait for a file system.
const FILE_WAIT: Duration = Duration::from_secs(1);

/// The least time for one address.
const LEAST_SHARE: Duration = Duration::from_millis(250);

/// Checks who may read the file of our key.
pub(super) async fn mode_of_key(examination: &Examination, results: &mut Results) {
    let identity = examination.generation().identity();
    let Some(file) = identity.origin().and_then(|origin| origin.source.key_file()) else {
        return results.skip(Check::IdentityMode, "the key was not read from a file");
    };
    let (shown, file) = (file.display().to_string(), file.to_owned());
    let (found, mode) = tokio::sync::oneshot::channel();
    let read = move || {
        let mode = std::fs::metadata(file).map(|file| file.permissions().mode() & 0o7777);
        let _ = found.send(mode);
    };
    if runtime::apart(read).is_err() {
        return results.miss(Check::IdentityMode, "no thread is left to ask the file system");
    }
    let Ok(Ok(Ok(mode))) = tokio::time::timeout(FILE_WAIT, mode).await else {
        return results.miss(Check::IdentityMode, "the file system does not tell");
    };
    if mode & 0o004 == 0 {
        return results.pass(Check::IdentityMode, format!("{mode:04o}"));
    }
    results.warn(
        Check::IdentityMode,
        format!("{shown} has mode {mode:04o}: every user of this machine may read the key"),
        format!("Set the mode: chmod 0600 {shown}, or 0640 with a group of its own."),
    );
}

/// Looks the host up, judges every address, and reaches each one if there are several. Returns whether a
/// connection may be tried.
pub(super) async fn resolve(
    examination: &Examination,
    results: &mut Results,
) -> Result<bool, Error> {
    let generation = examination.generation();
    let (url, route) = (&generation.url, examination.route());
    match route.through() {
        None => results.skip(Check::WayProxy, "none"),
        Some(proxy) => results.miss(Check::WayProxy, format!("{proxy} was not asked")),
    }
    if route.is_by_name(url) {
        results.skip(Check::WayNameServers, "the proxy looks the name up");
        results.skip(Check::WayAddresses, "the proxy looks the name up");
        return Ok(true);
    }
    examination.progress().enter(Stage::Resolve);
    let allowed = examination.connect_timeout();
    let judged = judge_all(url, &route.egress, generation.owner());
    // Beside the lookup, so that a silent name server costs no more time.
    let (judged, answers) =
        tokio::join!(tokio::time::timeout(allowed, judged), asked_servers(&url.host));
    servers(answers, &url.host, results);
    let judged = match judged {
        Ok(Ok(judged)) => judged,
        Ok(Err(error)) if error.kind() == Kind::Overloaded => return Err(error),
        Ok(Err(error)) => {
            results.fail(check_of(&error), error);
            return Ok(false);
        }
        Err(_) => {
            results.fail(Check::WayNameServers, silent(&url.host.to_string(), allowed));
            return Ok(false);
        }
    };
    let reachable = addresses(judged, results);
    if reachable.len() > 1 && route.through().is_none() {
        reach_each(examination, &reachable, results).await?;
    }
    Ok(!reachable.is_empty())
}

/// Asks each name server of this machine for a host name. Returns the answers that came in time.
async fn asked_servers(host: &Host) -> Vec<name_servers::Answer> {
    let Host::Dns(name) = host else { return Vec::new() };
    let asked: Vec<_> = name_servers::all()
        .into_iter()
        .filter_map(|server| {
            let (told, answer) = tokio::sync::oneshot::channel();
            let name = name.as_ref().to_owned();
            let ask = move || drop(told.send(name_servers::examine(server, &name)));
            runtime::apart(ask).is_ok().then_some(answer)
        })
        .collect();
    let mut answers = Vec::new();
    for answer in asked {
        if let Ok(Ok(Some(answer))) = tokio::time::timeout(FILE_WAIT, answer).await {
            answers.push(answer);
        }
    }
    answers
}

/// Records what the name servers did. If none of them is well, the lookup tells whether the system has
/// another way.
fn servers(answers: Vec<name_servers::Answer>, host: &Host, results: &mut Results) {
    const CHECK: Check = Check::WayNameServers;
    if matches!(host, Host::Ip(_)) {
        return results.skip(CHECK, "the URL has an IP address");
    }
    let Some(last) = answers.last() else {
        return results.skip(CHECK, "none is asked: /etc/hosts has the name");
    };
    let (well, last) = (answers.iter().filter(|answer| answer.is_well).count(), last.server);
    let texts: Vec<String> =
        answers.iter().map(|answer| format!("{} {}", answer.server, answer.what)).collect();
    let text = format!("{} (resolv.conf)", texts.join(", "));
    if well == answers.len() {
        return results.pass(CHECK, text);
    }
    if well == 0 {
        return results.pass(CHECK, format!("{text}; the system may have another resolver"));
    }
    let unwell = answers.iter().find(|answer| !answer.is_well).map_or(last, |it| it.server);
    results.warn(
        CHECK,
        text,
        format!(
            "Repair the name server {unwell}, or remove it from /etc/resolv.conf: a lookup that asks it first waits."
        ),
    );
}

/// The error for a name server that does not answer.
fn silent(host: &str, allowed: Duration) -> Error {
    let server = name_servers::first();
    Error::new(Kind::ResolveFailed, name_servers::silence(server, host, saturating_millis(allowed)))
        .noting(key::HOST, host)
        .noting(key::NAME_SERVER, server.to_string())
        .caused(&cause::NAME_SERVER_SILENT, &[("server", &server)])
}

/// Records the verdicts on all addresses. Returns those that are allowed.
fn addresses(
    judged: Vec<(SocketAddr, Result<(), Error>)>,
    results: &mut Results,
) -> Vec<SocketAddr> {
    let (mut allowed, mut texts, mut refusals) = (Vec::new(), Vec::new(), Vec::new());
    for (address, verdict) in judged {
        match verdict {
            Ok(()) => {
                texts.push(format!("{} allowed", address.ip()));
                allowed.push(address);
            }
            Err(error) => {
                let rule = error.fact(key::RULE).cloned().unwrap_or_default();
                texts.push(format!("{} denied ({rule})", address.ip()));
                refusals.push(error);
            }
        }
    }
    let text = texts.join(", ");
    match (allowed.is_empty(), refusals.into_iter().next()) {
        (false, None) => results.pass(Check::WayAddresses, text),
        (false, Some(refusal)) => results.warn(Check::WayAddresses, text, refusal.remedy()),
        (true, Some(refusal)) => results.fail(Check::WayAddresses, refusal),
        (true, None) => {
            let error = Error::new(Kind::HostNotFound, "the host has no address");
            results.fail(Check::WayAddresses, error);
        }
    }
    allowed
}

/// Opens a TCP connection to each address, one after the other.
async fn reach_each(
    examination: &Examination,
    addresses: &[SocketAddr],
    results: &mut Results,
) -> Result<(), Error> {
    examination.progress().enter(Stage::Connect);
    let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let share = (examination.connect_timeout() / count).max(LEAST_SHARE);
    let (mut reached, mut unreached) = (Vec::new(), Vec::new());
    for address in addresses {
        match examination.reach(*address, share).await {
            Ok(()) => reached.push(address.to_string()),
            Err(error) if error.kind() == Kind::Overloaded => return Err(error),
            Err(error) => unreached.push(error.message().to_owned()),
        }
    }
    // If none can be reached, the connection that is opened next tells why.
    match (reached.is_empty(), unreached.is_empty()) {
        (false, true) => results.pass(Check::WayTcp, format!("{} answer", reached.join(", "))),
        (false, false) => results.warn(
            Check::WayTcp,
            format!("{} answers; {}", reached.join(", "), unreached.join("; ")),
            "Deliveries use the addresses that answer. Ask the consumer to repair or remove the others.",
        ),
        (true, _) => {}
    }
    Ok(())
}

/// Records how far the connection came.
///
/// * `error`: the failure, if the connection was not opened.
pub(super) fn record(examination: &Examination, error: Option<&Error>, results: &mut Results) {
    if let Some(error) = error
        && error.stage() <= Stage::Connect
    {
        return results.fail(check_of(error), error.clone());
    }
    let Some(facts) = examination.progress().connection_facts() else { return };
    if let Some(proxy) = examination.route().through() {
        results.pass(Check::WayProxy, format!("{proxy} opened a tunnel"));
        return results.skip(Check::WayTcp, format!("{} through the proxy", facts.address));
    }
    if !results.is_decided(Check::WayTcp) {
        results.pass(Check::WayTcp, format!("{} answers", facts.address));
    }
}
