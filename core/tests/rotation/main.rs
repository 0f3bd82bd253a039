//! Files rotate during deliveries, with each common rotation method.
#![cfg(feature = "testing")]

mod rollout;
mod scene;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use webhook_mtls::MinTls;
use webhook_mtls::event::EventName;
use webhook_mtls::testing::{Authority, Lab, Leaf};
use webhook_mtls::{DeliverOptions, Dispatcher, Endpoint, EndpointOptions, Identity, Kind};

use self::scene::{Scene, Traffic, wait};

/// Longer than any step here takes.
const LONG: Duration = Duration::from_secs(20);

#[test]
fn an_identity_renamed_in_either_order_is_used_once_complete() {
    for (first, second) in [(0, 1), (1, 0)] {
        let scene = Scene::new(&format!("rename-{first}"), false);
        let traffic = Traffic::begin(&scene);
        let (cert, key) = scene.next_identity();
        let files = [("tls.crt", cert), ("tls.key", key)];
        scene.replace(files[first].0, &files[first].1);
        let events = scene.reload();
        assert_eq!(events[0].name(), EventName::RotationFailed);
        assert_eq!(events[0].error().unwrap().kind(), Kind::KeyMismatch);
        assert_eq!(scene.names(), ["rotation_failed"], "each reload reports it");
        assert_eq!(scene.deliver().unwrap().status(), 200);
        assert_eq!(scene.seen_as(), "dispatcher");
        scene.replace(files[second].0, &files[second].1);
        let events = scene.reload();
        assert_eq!(events[0].name(), EventName::Rotated);
        assert_eq!(events[0].fields()["what"], "identity");
        assert_eq!(events[0].fields()["endpoints"], 1);
        traffic.end();
        assert_eq!(scene.deliver().unwrap().status(), 200);
        assert_eq!(scene.seen_as(), "second");
        assert_eq!(scene.names(), [""; 0]);
    }
}

/// The content that was read first is generation 1.
#[test]
fn a_rotation_has_its_process_and_its_generation() {
    let scene = Scene::new("marks", false);
    for generation in 2..5 {
        let stranger = Authority::new("stranger").unwrap();
        scene.write("ca.pem", scene.lab.trust_pem() + stranger.root_pem());
        let [event] = &scene.reload()[..] else { panic!("one file has changed") };
        assert_eq!((event.name(), &event.fields()["what"]), (EventName::Rotated, &"trust".into()));
        assert_eq!(event.fields()["pid"], std::process::id());
        assert_eq!(event.fields()["generation"], generation);
    }
}

#[test]
fn a_kubernetes_swap_is_read_as_one_change() {
    let scene = Scene::with("kubernetes", true, |directory, files| {
        let first = directory.join("..first");
        fs::create_dir(&first).unwrap();
        symlink("..first", directory.join("..data")).unwrap();
        for (file, text) in files {
            fs::write(first.join(file), text).unwrap();
            symlink(format!("..data/{file}"), directory.join(file)).unwrap();
        }
    });
    let traffic = Traffic::begin(&scene);
    let second = scene.file("..second");
    fs::create_dir(&second).unwrap();
    let (cert, key) = scene.next_identity();
    let stranger = Authority::new("stranger").unwrap();
    let both = scene.lab.trust_pem() + stranger.root_pem();
    let pins =
        format!("{}\nnext sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", scene.acme.pin());
    let crl = scene.lab.authority().crl(&[]).unwrap();
    let files =
        [("tls.crt", cert), ("tls.key", key), ("ca.pem", both), ("crl.pem", crl), ("pins", pins)];
    for (file, text) in files {
        fs::write(second.join(file), text).unwrap();
    }
    symlink("..second", scene.file("..data_tmp")).unwrap();
    fs::rename(scene.file("..data_tmp"), scene.file("..data")).unwrap();
    fs::remove_dir_all(scene.file("..first")).unwrap();
    let mut whats: Vec<String> = scene
        .reload()
        .iter()
        .map(|event| event.fields()["what"].as_str().unwrap().into())
        .collect();
    whats.sort();
    assert_eq!(whats, ["identity", "pins", "trust"]);
    traffic.end();
    assert_eq!(scene.deliver().unwrap().status(), 200);
    assert_eq!(scene.seen_as(), "second");
}

/// Contents and file types that may occur while a file is being changed.
#[test]
fn incomplete_content_is_not_used() {
    let scene = Scene::new("in-place", true);
    let traffic = Traffic::begin(&scene);
    let (cert, key) = scene.next_identity();
    let stranger = Authority::new("stranger").unwrap();
    let both = scene.lab.trust_pem() + stranger.root_pem();
    let pins =
        format!("{}\ncert-sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", scene.acme.pin());
    let broken = |name: &str, why: &str| {
        let names = scene.names();
        assert_eq!(names, ["rotation_failed"], "{name} {why}");
        assert_eq!(scene.deliver().unwrap().status(), 200, "{name} {why}");
    };
    scene.write("tls.key", &key);
    for (name, text) in [("tls.crt", &cert), ("ca.pem", &both), ("pins", &pins)] {
        scene.write(name, "");
        broken(name, "truncated");
        scene.write(name, &text[..text.len() / 2 + 5]);
        broken(name, "half filled");
        fs::remove_file(scene.file(name)).unwrap();
        broken(name, "missing");
        fs::create_dir(scene.file(name)).unwrap();
        broken(name, "no file");
        fs::remove_dir(scene.file(name)).unwrap();
        scene.write(name, text);
        assert_eq!(scene.names(), ["rotated"], "{name}");
        assert_eq!(scene.deliver().unwrap().status(), 200, "{name}");
    }
    traffic.end();
    assert_eq!(scene.seen_as(), "second");
}

#[test]
fn time_stamps_are_ignored() {
    let scene = Scene::new("stamps", true);
    let traffic = Traffic::begin(&scene);
    let other = "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    let third = "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    scene.write("pins", format!("{}\nnext {other}", scene.acme.pin()));
    assert_eq!(scene.names(), ["rotated"]);
    let before = fs::metadata(scene.file("pins")).unwrap();
    // Equal size and equal time stamp.
    scene.write("pins", format!("{}\nnext {third}", scene.acme.pin()));
    let stamp = |at: SystemTime| {
        let file = fs::File::options().write(true).open(scene.file("pins")).unwrap();
        file.set_modified(at).unwrap();
    };
    stamp(before.modified().unwrap());
    assert_eq!(fs::metadata(scene.file("pins")).unwrap().len(), before.len());
    assert_eq!(scene.names(), ["rotated"]);
    assert!(scene.endpoint.status().pins_never_seen.contains(&third.to_owned()));
    // A time stamp that goes back, as in a restored backup; and a change of only the time stamp.
    scene.write("pins", format!("{}\nnext {other}", scene.acme.pin()));
    stamp(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    assert_eq!(scene.names(), ["rotated"]);
    stamp(SystemTime::now());
    assert_eq!(scene.names(), [""; 0]);
    traffic.end();
}

#[test]
fn an_old_ca_is_refused_after_a_reload_on_pooled_connections_too() {
    let scene = Scene::new("old-ca", false);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    assert!(scene.deliver().unwrap().is_reused());
    let next = Authority::new("next").unwrap();
    scene.write("ca.pem", next.root_pem());
    assert_eq!(scene.names(), ["rotated"]);
    let refused = scene.deliver().unwrap_err();
    assert_eq!(refused.kind(), Kind::IssuerUnknown, "{refused}");
    assert_eq!(scene.acme.received().len(), 2);
    scene.acme.certify(&next).unwrap();
    assert_eq!(scene.deliver().unwrap().status(), 200);
}

#[test]
fn an_old_pin_is_refused_after_a_reload_on_pooled_connections_too() {
    let scene = Scene::new("old-pin", true);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    scene.write("pins", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    let events = scene.reload();
    assert_eq!(events[0].consumer(), Some("acme"));
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::PinMismatch);
    assert_eq!(scene.acme.received().len(), 1);
}

#[test]
fn a_revoked_consumer_is_refused_after_a_reload_on_pooled_connections_too() {
    let scene = Scene::new("revoked", false);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    let crl = scene.lab.authority().crl(&[&scene.acme.issued()]).unwrap();
    scene.replace("crl.pem", &crl);
    assert_eq!(scene.names(), ["rotated"]);
    assert_eq!(scene.deliver().unwrap_err().kind(), Kind::CertificateRevoked);
    assert_eq!(scene.acme.received().len(), 1);
}

#[test]
fn a_shared_identity_rotates_all_endpoints_and_pins_rotate_one() {
    let scene = Scene::new("shared", true);
    let others: Vec<Endpoint> = (0..30)
        .map(|number| {
            let mut options = EndpointOptions::new(None);
            options = options.min_tls(MinTls::V1_2);
            scene
                .dispatcher
                .endpoint(&format!("other-{number}"), &scene.acme.url(), options)
                .unwrap()
        })
        .collect();
    let deliver = |endpoint: &Endpoint| {
        wait(scene.dispatcher.deliver(endpoint, "{}", DeliverOptions::new())).unwrap()
    };
    assert!(others.iter().all(|endpoint| !deliver(endpoint).is_reused()));
    scene.write("pins", format!("# a comment\n{}", scene.acme.pin()));
    assert_eq!(scene.names(), [""; 0], "a comment changes nothing");
    scene.write(
        "pins",
        format!(
            "{}\n{}",
            scene.acme.pin(),
            "cert-sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        ),
    );
    let events = scene.reload();
    assert_eq!((events.len(), events[0].consumer()), (1, Some("acme")));
    assert!(others.iter().all(|endpoint| deliver(endpoint).is_reused()));
    let (cert, key) = scene.next_identity();
    scene.write("tls.crt", cert);
    scene.write("tls.key", key);
    let events = scene.reload();
    assert_eq!(events[0].fields()["endpoints"], 31);
    assert!(others.iter().all(|endpoint| !deliver(endpoint).is_reused()));
    assert_eq!(scene.seen_as(), "second");
}

#[test]
fn an_upsert_with_old_values_does_not_restore_old_material() {
    let scene = Scene::new("upsert", false);
    let (cert, key) = (scene.file("tls.crt"), scene.file("tls.key"));
    let long_ago = Identity::from_files(&cert, &key, None).unwrap();
    let upsert = || {
        let options = EndpointOptions::new(None).identity(long_ago.clone());
        scene.dispatcher.endpoint("acme", &scene.acme.url(), options).unwrap()
    };
    upsert();
    let (new_cert, new_key) = scene.next_identity();
    scene.write("tls.crt", new_cert);
    scene.write("tls.key", new_key);
    assert_eq!(scene.names(), ["rotated"]);
    assert_eq!(scene.deliver().unwrap().status(), 200);
    upsert();
    assert!(scene.deliver().unwrap().is_reused(), "equal values keep the connections");
    assert_eq!(scene.seen_as(), "second");
}

/// Without a delivery and without files, the expiry of our certificate is an event.
#[test]
fn the_first_listener_starts_the_events() {
    let lab = Lab::start().unwrap();
    let now = SystemTime::now();
    let (from, until) = (now - Duration::from_secs(99 * 3600), now + Duration::from_secs(3600));
    let leaf = Leaf::client("us").between(Some(from), Some(until));
    let issued = lab.authority().issue(leaf).unwrap();
    let (chain, key) = (issued.chain_pem.as_bytes(), issued.key_pem.as_bytes());
    let dispatcher = || {
        let identity = Identity::from_pem(chain, key, None).unwrap();
        let options = lab.dispatcher_options().identity(identity);
        let options = options.reload(Some(Duration::from_millis(20))).unwrap();
        Dispatcher::new(options).unwrap()
    };
    let check = |name: EventName, fields: &Map<String, Value>| {
        assert_eq!(name, EventName::Expiry);
        assert_eq!((&fields["name"], &fields["threshold"]), (&"CN=us".into(), &0.05.into()));
    };
    let polled = dispatcher();
    let event = polled.events().next(LONG).unwrap();
    check(event.name(), event.fields());

    let (sender, heard) = std::sync::mpsc::channel();
    let called = dispatcher();
    called.on_event(move |event| {
        let _ = sender.send((event.name(), event.fields().clone()));
    });
    let (name, fields) = heard.recv_timeout(LONG).unwrap();
    check(name, &fields);
}

#[test]
fn files_are_polled_and_listeners_get_events() {
    let lab = Lab::start().unwrap();
    let acme = lab.consumer("acme").unwrap();
    let files = std::env::temp_dir().join(format!("rotation-{}-polled", std::process::id()));
    lab.write_files(&files).unwrap();
    let mut options = lab.dispatcher_options().identity(
        Identity::from_files(files.join("tls.crt"), files.join("tls.key"), None).unwrap(),
    );
    options = options.reload(Some(Duration::from_millis(20))).unwrap();
    let dispatcher = Dispatcher::new(options).unwrap();
    let endpoint = dispatcher.endpoint("acme", &acme.url(), EndpointOptions::new(None)).unwrap();
    let events = dispatcher.events();
    let (sender, heard) = std::sync::mpsc::channel();
    dispatcher.on_event(move |event| {
        let _ = sender.send(event.name());
        panic!("deliberate panic of a test");
    });
    wait(dispatcher.deliver(&endpoint, "{}", DeliverOptions::new())).unwrap();
    let issued = lab.authority().issue(Leaf::client("second")).unwrap();
    fs::write(files.join("tls.crt"), &issued.chain_pem).unwrap();
    fs::write(files.join("tls.key"), &issued.key_pem).unwrap();
    assert_eq!(events.next(LONG).unwrap().name(), EventName::Rotated);
    assert_eq!(heard.recv_timeout(LONG), Ok(EventName::Rotated));
    fs::set_permissions(files.join("tls.key"), std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .unwrap();
    let event = events.next(LONG).unwrap();
    assert_eq!((event.name(), &event.fields()["mode"]), (EventName::KeyReadable, &"0644".into()));
    assert_eq!(heard.recv_timeout(LONG), Ok(EventName::KeyReadable));
    wait(dispatcher.close(Duration::ZERO));
    fs::remove_dir_all(files).unwrap();
    assert_eq!(wait(dispatcher.reload()).unwrap_err().kind(), Kind::HandleClosed);
}
