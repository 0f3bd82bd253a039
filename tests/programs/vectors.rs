//! Runs the shared vectors in Rust: `vectors DIRECTORY`. `tests/vectors/README.md` describes the
//! format. The other languages have a runner of the same structure.

mod vectors_circuit;
mod vectors_forwarded;
mod vectors_webhook;

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use webhook_mtls::bindings::SetByName;
use webhook_mtls::bindings::{Setting, options, runtime};
use webhook_mtls::material::pin_of;
use webhook_mtls::testing::{
    Answer, Authority, Consumer, KeyType, Lab, Leaf, Misbehavior, set_clock,
};
use webhook_mtls::{
    Authorization, DeliverOptions, Dispatcher, DispatcherOptions, Egress, EndpointOptions, Error,
    Identity, Pins, ProbeOptions, Role, StandardWebhooks, TenantRule, Trust, Verifier,
    VerifierOptions,
};

/// A pin without a key.
const UNUSED_PIN: &str = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

type Outcome = Result<Value, Error>;

fn main() {
    let directory = std::env::args().nth(1).unwrap_or_else(|| "tests/vectors".to_owned());
    let mut disagreed = 0;
    let mut count = |file: &str, run: &dyn Fn(&Value, &Value) -> Vec<String>| {
        let text =
            std::fs::read_to_string(Path::new(&directory).join(file)).expect("a vector file");
        let vectors: Value = serde_json::from_str(&text).expect("JSON");
        let cases = vectors["cases"].as_array().expect("cases");
        for case in cases {
            for difference in run(case, &vectors["fixtures"]) {
                println!("{file}: {}: {difference}", case["name"].as_str().unwrap_or("?"));
                disagreed += 1;
            }
        }
        cases.len()
    };
    let config = count("config.json", &|case, fixtures| {
        compare(case, &configure(&case["with"], &case["do"], fixtures), "ok")
    });
    let verify = count("verify.json", &|case, _| compare(case, &judge(case), "ok"));
    let deliver = count("deliver.json", &|case, _| deliver(case));
    let circuit = count("circuit.json", &|case, _| vectors_circuit::run(case));
    let forwarded = count("forwarded.json", &|case, fixtures| {
        compare(case, &vectors_forwarded::judge(case, fixtures), "ok")
    });
    let webhook = count("webhook.json", &|case, fixtures| {
        compare(case, &vectors_webhook::run(case, fixtures), "ok")
    });
    println!(
        "vectors rust: config {config}, verify {verify}, deliver {deliver}, circuit {circuit}, \
         forwarded {forwarded}, webhook {webhook}, disagreed {disagreed}"
    );
    std::process::exit(i32::from(disagreed > 0));
}

fn configure(with: &Value, operation: &Value, fixtures: &Value) -> Outcome {
    let own_trust = || Trust::from_pem(bytes(&fixtures["trust"]["anchors"]), None, &[]);
    let own_dispatcher = || {
        let identity = &fixtures["identity"];
        let identity = Identity::from_pem(bytes(&identity["cert"]), bytes(&identity["key"]), None)?;
        Ok::<_, Error>(DispatcherOptions::new().identity(identity).trust(own_trust()?))
    };
    match text(operation) {
        "identity_from_pem" => {
            let passphrase = with.get("passphrase").map(bytes);
            let (cert, key) = (input(with, "cert"), input(with, "key"));
            let identity = Identity::from_pem(&cert, &key, passphrase)?;
            return Ok(json!({ "notes": identity.notes() }));
        }
        "identity_from_pkcs12" => {
            let data = unhex(&with["data_hex"]);
            let identity = Identity::from_pkcs12(&data, bytes(&with["passphrase"]))?;
            return Ok(json!({ "notes": identity.notes() }));
        }
        "trust_from_pem" => return Ok(json!({ "notes": trust(with)?.notes().len() })),
        "pins" => drop(pins(with)?),
        "standard_webhooks" => drop(StandardWebhooks::new(texts(&with["secrets"]))?),
        "pin_of" => return Ok(json!({ "pin": pin_of(bytes(&with["cert"]))? })),
        "egress" => {
            let preset = with.get("preset").map_or("public", text);
            let egress = Egress::preset(preset)?.allow(texts(&with["allow"]))?;
            egress.deny(texts(&with["deny"]))?.nat64(texts(&with["nat64"]))?;
        }
        "dispatcher" => {
            let mut chosen = own_dispatcher()?;
            if let Some(given) = with.get("trust") {
                chosen = chosen.trust(trust(given)?);
            }
            Dispatcher::new(set("dispatcher", with, chosen)?)?;
        }
        "endpoint" => {
            let mut chosen = match with.get("pins") {
                None => EndpointOptions::default(),
                Some(Value::Null) => EndpointOptions::new(None),
                Some(list) => EndpointOptions::new(Some(Pins::new(texts(list))?)),
            };
            if let Some(given) = with.get("trust") {
                chosen = chosen.trust(trust(given)?);
            }
            let chosen = signed(set("endpoint", with, chosen)?, with)?;
            let dispatcher = Dispatcher::new(own_dispatcher()?)?;
            let endpoint =
                dispatcher.endpoint(text(&with["consumer"]), text(&with["url"]), chosen)?;
            return Ok(json!({ "url": endpoint.url() }));
        }
        "deliver" => {
            let dispatcher = Dispatcher::new(own_dispatcher()?)?;
            let unpinned = signed(EndpointOptions::new(None), with)?;
            let endpoint = dispatcher.endpoint("acme", text(&with["url"]), unpinned)?;
            let chosen = deliver_options(with)?;
            wait(dispatcher.deliver(&endpoint, repeated(&with["body"], with), chosen))?;
        }
        "tenant_rule" => drop(tenant(with)?),
        "merge" => {
            let statuses = with["statuses"].as_array().into_iter().flatten();
            let texts =
                statuses.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
            return webhook_mtls::endpoint::merge(texts);
        }
        "retire" => {
            let identity = &fixtures["identity"];
            let identity =
                Identity::from_pem(bytes(&identity["cert"]), bytes(&identity["key"]), None)?;
            let fleet = &with["fleet"];
            let fleet = fleet.as_str().map_or_else(|| fleet.to_string(), str::to_owned);
            let at = Duration::from_secs(with["at"].as_u64().expect("an instant"));
            let dispatcher = Dispatcher::new(own_dispatcher()?)?;
            set_clock(Some(SystemTime::UNIX_EPOCH + at));
            let retired = dispatcher.retire_in_fleet(&identity, &fleet, with["force"] == true);
            set_clock(None);
            retired?;
        }
        "authorization" => drop(authorization(with)?),
        "verifier" => {
            let trust =
                if with.get("trust").is_some() { trust(&with["trust"])? } else { own_trust()? };
            drop(verifier(with, trust)?);
        }
        other => panic!("no operation {other}"),
    }
    Ok(json!({}))
}

fn judge(case: &Value) -> Outcome {
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(case["at"].as_u64().expect("an instant"));
    let verifier = verifier(case, trust(&case["trust"])?)?;
    let name = case.get("server_name").map(text);
    Ok(verifier.verify(bytes(&case["chain"]), name, at)?.to_json())
}

/// Gives the receiver and the dispatcher certificates of another CA, with keys of this type.
fn with_keys(key_type: &str, acme: &Consumer, options: DispatcherOptions) -> DispatcherOptions {
    let key_type = KeyType::from_name(key_type).expect("a type of key");
    let authority = Authority::with_key_type("vectors", key_type).expect("an authority");
    acme.certify(&authority).and_then(|()| acme.renew(true)).expect("a certificate");
    acme.accept_only(&authority);
    let ours = authority.issue(Leaf::client("dispatcher")).expect("a certificate");
    let identity = Identity::from_pem(ours.chain_pem.as_bytes(), ours.key_pem.as_bytes(), None);
    let trust = Trust::from_pem(authority.root_pem().as_bytes(), None, &[]);
    options.identity(identity.expect("an identity")).trust(trust.expect("a trust"))
}

fn deliver(case: &Value) -> Vec<String> {
    let lab = Lab::start().expect("a lab");
    let other = Lab::start().expect("another lab");
    let acme = lab.consumer("acme").expect("a receiver");
    let mut options = lab.dispatcher_options();
    if let Some(key_type) = case.get("key_type") {
        options = with_keys(text(key_type), &acme, options);
    }
    let wrong = UNUSED_PIN.to_owned();
    let consumer = &case["consumer"];
    if let Some(how) = consumer.get("misbehave") {
        let named = Misbehavior::from_name(text(&how["how"])).expect("a misbehavior");
        acme.misbehave(named, number(&how["times"]));
    }
    for answer in consumer["respond"].as_array().into_iter().flatten() {
        let retry_after = answer.get("retry_after").map(number);
        let status = u16::try_from(number(&answer["status"])).expect("a status");
        acme.respond(Answer { retry_after, ..Answer::status(status) }, number(&answer["times"]));
    }
    let right = acme.pin();
    let pins = match text(&case["pins"]) {
        "right" => Some(Pins::new([right])),
        "wrong" => Some(Pins::new([wrong])),
        "next" => Some(Pins::with_next([wrong], [right])),
        "both" => Some(Pins::with_next([right], [wrong])),
        _ => None,
    };
    let outcome = (|| {
        let mut chosen = EndpointOptions::new(pins.transpose()?);
        if case["trust"] == "other" {
            chosen = chosen.trust(other.trust());
        }
        if let Some(given) = case.get("endpoint_options") {
            let given = json!({ "options": given });
            chosen = set("endpoint", &given, chosen)?;
        }
        let chosen = signed(chosen, case)?;
        let dispatcher = Dispatcher::new(options)?;
        let url = acme.url().replace("127.0.0.1", case["host"].as_str().unwrap_or("127.0.0.1"));
        let endpoint = dispatcher.endpoint("acme", &url, chosen)?;
        if let Some(renewal) = consumer.get("renew") {
            acme.renew(renewal["new_key"] == true)?;
        }
        if case.get("probe").is_some() {
            return Ok(wait(dispatcher.probe(&endpoint, ProbeOptions::new()))?.to_json());
        }
        let body = repeated(&case["body"], case);
        let none = json!({});
        let given = case.get("options").unwrap_or(&none);
        for _ in 1..case.get("deliveries").map_or(1, number) {
            let _ = wait(dispatcher.deliver(&endpoint, body.clone(), deliver_options(given)?));
        }
        Ok(wait(dispatcher.deliver(&endpoint, body, deliver_options(given)?))?.to_json())
    })();
    let mut differences = compare(case, &outcome, "receipt");
    let received = acme.received();
    if json!(received.len()) != case["received"] {
        differences.push(format!("received {}, expected {}", received.len(), case["received"]));
    }
    let last = received.last();
    if let Some(last) = last {
        let seen = json!(last.server_name);
        differences.extend(subset(&case["received_server_name"], &seen, "received_server_name"));
    }
    if let Some(body) = case.get("received_body")
        && last.is_none_or(|last| last.body != repeated(body, case))
    {
        differences.push("a different body was received".to_owned());
    }
    for (name, wanted) in case["received_headers_begin"].as_object().into_iter().flatten() {
        let seen = last.and_then(|last| last.headers.iter().find(|header| header.0 == *name));
        if seen.is_none_or(|(_, value)| !value.starts_with(text(wanted))) {
            differences.push(format!("{name} is {seen:?}, expected to begin with {wanted}"));
        }
    }
    if let Some(wanted) = case.get("received_headers") {
        let headers =
            last.map(|last| last.headers.iter().cloned().map(|(name, value)| (name, json!(value))));
        let seen = Value::Object(headers.into_iter().flatten().collect());
        differences.extend(subset(wanted, &seen, "received_headers"));
    }
    differences
}

// -- from JSON to the nouns --------------------------------------------------------------------------

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn bytes(value: &Value) -> &[u8] {
    text(value).as_bytes()
}

/// The bytes of an argument: text, or hex under its name and `_hex`.
fn input(with: &Value, name: &str) -> Vec<u8> {
    match with.get(format!("{name}_hex")) {
        Some(hex) => unhex(hex),
        None => bytes(&with[name]).to_vec(),
    }
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().map_or_else(Vec::new, |list| list.iter().map(text).collect())
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).expect("a number")
}

fn repeated(body: &Value, case: &Value) -> Vec<u8> {
    bytes(body).repeat(case.get("repeat").map_or(1, number) as usize)
}

fn pins(with: &Value) -> Result<Pins, Error> {
    Pins::with_next(texts(&with["current"]), texts(&with["next"]))
}

fn signed(options: EndpointOptions, with: &Value) -> Result<EndpointOptions, Error> {
    match with.get("signing") {
        Some(secrets) => Ok(options.signing(StandardWebhooks::new(texts(secrets))?)),
        None => Ok(options),
    }
}

fn trust(with: &Value) -> Result<Trust, Error> {
    if with["exact"] == true {
        return Trust::exact(bytes(&with["anchors"]));
    }
    let crls: Vec<&[u8]> = with["crls"].as_array().into_iter().flatten().map(bytes).collect();
    let read =
        if with["dangerous_public"] == true { Trust::dangerous_public } else { Trust::from_pem };
    read(bytes(&with["anchors"]), with.get("intermediates").map(bytes), &crls)?
        .distrusting(texts(&with["distrusted"]))
}

fn unhex(value: &Value) -> Vec<u8> {
    let digits = text(value);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
        .collect()
}

fn tenant(with: &Value) -> Result<TenantRule, Error> {
    match (with.get("san_uri"), with.get("san_dns_suffix")) {
        (Some(template), _) => TenantRule::san_uri(text(template)),
        (_, Some(suffix)) => TenantRule::san_dns_suffix(text(suffix)),
        _ => Ok(TenantRule::subject_cn()),
    }
}

fn authorization(with: &Value) -> Result<Authorization, Error> {
    match (with.get("san_uris"), with.get("trust_domain")) {
        (Some(uris), _) => Authorization::san_uris(texts(uris)),
        (_, Some(domain)) => Authorization::trust_domain(text(domain)),
        _ => Ok(Authorization::ca_members()),
    }
}

fn verifier(with: &Value, trust: Trust) -> Result<Verifier, Error> {
    let mut chosen =
        VerifierOptions::new(Role::from_name(text(&with["role"])).expect("a role"), trust);
    if let Some(given) = with.get("pins") {
        chosen = chosen.pins(pins(given)?);
    }
    if let Some(rule) = with.get("tenant") {
        chosen = chosen.tenant(tenant(rule)?);
    }
    if let Some(rule) = with.get("authorization") {
        chosen = chosen.authorization(authorization(rule)?);
    }
    Verifier::new(set("verifier", with, chosen)?)
}

fn deliver_options(with: &Value) -> Result<DeliverOptions, Error> {
    let mut chosen = DeliverOptions::new();
    for name in ["id", "content_type"] {
        if let Some(value) = with.get(name) {
            chosen = chosen.set(name, Setting::Text(text(value).to_owned()))?;
        }
    }
    if let Some(headers) = with.get("headers").and_then(Value::as_object) {
        let pairs =
            headers.iter().map(|(name, value)| (name.clone(), text(value).to_owned())).collect();
        chosen = chosen.headers(pairs);
    }
    if let Some(timeout) = with.get("timeout_ms") {
        let millis = Setting::Millis(timeout.as_f64().expect("milliseconds"));
        chosen = chosen.set("timeout", millis)?;
    }
    set("deliver", with, chosen)
}

/// Sets the case's `options` by name. The options table says which numbers are durations.
fn set<T: SetByName>(noun: &str, with: &Value, mut chosen: T) -> Result<T, Error> {
    for (name, value) in with["options"].as_object().into_iter().flatten() {
        let row = options::ALL.iter().find(|row| row.of == noun && row.name == name);
        let value = match value {
            Value::Bool(flag) => Setting::Flag(*flag),
            Value::Number(number) if row.is_some_and(|row| row.kind == "duration") => {
                Setting::Millis(number.as_f64().expect("a number"))
            }
            Value::Number(number) => Setting::Number(number.as_f64().expect("a number")),
            Value::Object(_) => pairs(value),
            other => Setting::Text(text(other).to_owned()),
        };
        chosen = chosen.set(name, value)?;
    }
    Ok(chosen)
}

fn pairs(value: &Value) -> Setting {
    let pairs = value.as_object().into_iter().flatten();
    Setting::Pairs(pairs.map(|(name, value)| (name.clone(), text(value).to_owned())).collect())
}

fn wait<T>(delivery: impl Future<Output = T>) -> T {
    runtime::drive(delivery, || false).expect("never interrupted")
}

// -- comparing ---------------------------------------------------------------------------------------

fn compare(case: &Value, outcome: &Outcome, success: &str) -> Vec<String> {
    let expected = &case["expect"];
    match outcome {
        Ok(seen) => match expected.get(success) {
            Some(wanted) => subset(wanted, seen, success),
            None => vec![format!("succeeded, expected {expected}")],
        },
        Err(error) => match expected.get("error") {
            Some(wanted) => subset(wanted, &error.to_json(), "error"),
            None => vec![format!("failed: {error}")],
        },
    }
}

fn subset(wanted: &Value, seen: &Value, path: &str) -> Vec<String> {
    match (wanted, seen) {
        (Value::Object(wanted), Value::Object(seen)) => wanted
            .iter()
            .flat_map(|(key, value)| match seen.get(key) {
                Some(seen) => subset(value, seen, &format!("{path}.{key}")),
                None => vec![format!("{path}.{key} is missing, expected {value}")],
            })
            .collect(),
        (Value::Number(wanted), Value::Number(seen)) if wanted.as_f64() == seen.as_f64() => vec![],
        _ if wanted == seen => vec![],
        _ => vec![format!("{path} is {seen}, expected {wanted}")],
    }
}
