//! Which addresses the presets and rules of an egress policy allow.

use super::egress::*;
use crate::error::Kind;

fn allows(egress: &Egress, address: &str) -> bool {
    egress.check(address.parse().unwrap()).is_ok()
}

#[test]
fn public_allows_only_the_internet() {
    let egress = Egress::public();
    for address in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
        assert!(allows(&egress, address), "{address}");
    }
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "2a00:1450:4001:800:0:5efe:a00:1",
        "2a00:1450:4001:800:200:5efe:5db8:d822",
        "::ffff:0:7f00:1",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "2001:db8::1",
        "198.18.0.1",
        "4000::1",
    ] {
        assert!(!allows(&egress, address), "{address}");
    }
}

#[test]
fn each_special_block_ends_at_its_bounds() {
    let public = Egress::public();
    for (first, last) in [
        ("0.0.0.0", "0.255.255.255"),
        ("10.0.0.0", "10.255.255.255"),
        ("100.64.0.0", "100.127.255.255"),
        ("127.0.0.0", "127.255.255.255"),
        ("169.254.0.0", "169.254.255.255"),
        ("172.16.0.0", "172.31.255.255"),
        ("192.0.0.0", "192.0.0.255"),
        ("192.0.2.0", "192.0.2.255"),
        ("192.88.99.0", "192.88.99.255"),
        ("192.168.0.0", "192.168.255.255"),
        ("198.18.0.0", "198.19.255.255"),
        ("198.51.100.0", "198.51.100.255"),
        ("203.0.113.0", "203.0.113.255"),
        ("224.0.0.0", "239.255.255.255"),
        ("240.0.0.0", "255.255.255.255"),
        ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
        ("100::", "100::ffff:ffff:ffff:ffff"),
        ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ] {
        assert!(!allows(&public, first) && !allows(&public, last), "{first} to {last}");
    }
    for reachable in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.255",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::",
        "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:200::",
        "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db9::",
        "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "2003::",
        "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "3fff:1000::",
        "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    ] {
        assert!(allows(&public, reachable), "{reachable}");
    }
}

#[test]
fn private_allows_only_private_networks_beside_the_internet() {
    let private = Egress::private();
    for reachable in [
        "10.0.0.0",
        "172.16.0.0",
        "172.31.255.255",
        "192.168.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "fc00::",
        "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        "::ffff:10.0.0.1",
        "93.184.216.34",
    ] {
        assert!(allows(&private, reachable), "{reachable}");
    }
    for denied in [
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "192.0.0.1",
        "224.0.0.1",
        "::",
        "::1",
        "::10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::a00:1",
        "2002:a00:1::",
        "2001:0:1::f5ff:fffe",
        "2001:1::",
        "2001:1ff::",
        "fe80::",
        "febf::1",
        "fec0::1",
        "fbff::",
        "fe00::",
        "ff02::1",
        "fd00::5efe:a00:1",
    ] {
        assert!(!allows(&private, denied), "{denied}");
    }
}

#[test]
fn deny_is_stronger_than_allow() {
    let egress =
        Egress::public().allow(["127.0.0.0/8", "::1"]).unwrap().deny(["127.0.0.2"]).unwrap();
    assert!(
        allows(&egress, "127.0.0.1")
            && allows(&egress, "::1")
            && allows(&egress, "::ffff:127.0.0.1")
    );
    assert!(!allows(&egress, "127.0.0.2") && !allows(&egress, "::ffff:127.0.0.2"));
}

#[test]
fn a_denied_address_is_denied_in_every_form_even_if_the_form_is_allowed() {
    let anywhere = ["0.0.0.0/0", "::/0"];
    let egress = Egress::public().allow(anywhere).unwrap().deny(["93.184.216.0/24"]).unwrap();
    for address in [
        "93.184.216.34",
        "::ffff:93.184.216.34",
        "::93.184.216.34",
        "64:ff9b::93.184.216.34",
        "64:ff9b:1::93.184.216.34",
        "2002:5db8:d822::1",
        "2001:0:1::a247:27dd",
        "2a00::200:5efe:93.184.216.34",
    ] {
        let error = egress.check(address.parse().unwrap()).unwrap_err();
        assert_eq!(error.context()["rule"], "93.184.216.0/24", "{address}");
        assert!(error.remedy().contains("remove 93.184.216.0/24 from"), "{}", error.remedy());
    }
    assert!(allows(&egress, "64:ff9b::93.184.217.34") && allows(&egress, "127.0.0.1"));
}

#[test]
fn the_remedy_names_the_network_that_would_allow_the_address() {
    for address in ["127.0.0.1", "::ffff:10.0.0.7", "fd00::7", "64:ff9b::a00:1", "ff02::1"] {
        let error = Egress::public().check(address.parse().unwrap()).unwrap_err();
        let network = error.remedy().rsplit(": ").next().unwrap().trim_end_matches('.');
        let egress = Egress::public().allow([network]).unwrap();
        assert!(allows(&egress, address), "{address} by {network}");
    }
}

#[test]
fn an_address_of_the_networks_own_nat64_is_checked_by_its_embedded_address() {
    // The forms of RFC 6052 section 2.2: metadata, a public and a private address behind each.
    for (prefix, of_metadata, of_public, of_private) in [
        ("2001:db8::/32", "2001:db8:a9fe:a9fe::", "2001:db8:5db8:d822::", "2001:db8:a00:1::"),
        (
            "2001:db8:100::/40",
            "2001:db8:1a9:fea9:fe::",
            "2001:db8:15d:b8d8:22::",
            "2001:db8:10a:0:1::",
        ),
        (
            "2001:db8:122::/48",
            "2001:db8:122:a9fe:a9:fe00::",
            "2001:db8:122:5db8:d8:2200::",
            "2001:db8:122:a00:0:100::",
        ),
        (
            "2001:db8:122:300::/56",
            "2001:db8:122:3a9:fe:a9fe::",
            "2001:db8:122:35d:b8:d822::",
            "2001:db8:122:30a:0:1::",
        ),
        (
            "2001:db8:122:344::/64",
            "2001:db8:122:344:a9:fea9:fe00::",
            "2001:db8:122:344:5d:b8d8:2200::",
            "2001:db8:122:344:a:0:100::",
        ),
        (
            "2001:db8:122:344::/96",
            "2001:db8:122:344::a9fe:a9fe",
            "2001:db8:122:344::5db8:d822",
            "2001:db8:122:344::a00:1",
        ),
    ] {
        let egress = Egress::public().nat64([prefix]).unwrap();
        assert!(allows(&egress, of_public), "{of_public}");
        assert!(!allows(&egress, of_metadata) && !allows(&egress, of_private), "{prefix}");
        let error = egress.check(of_metadata.parse().unwrap()).unwrap_err();
        assert!(error.message().contains("169.254.169.254"), "{error}");
        assert!(error.remedy().starts_with("Do not allow"), "{}", error.remedy());
        let private = Egress::private().nat64([prefix]).unwrap();
        assert!(allows(&private, of_private) && !allows(&private, of_metadata));
        let denying = egress.clone().deny(["93.184.216.0/24"]).unwrap();
        assert!(!allows(&denying, of_public), "{of_public}");
        let allowing = egress.allow(["169.254.169.254"]).unwrap();
        assert!(allows(&allowing, of_metadata) && !allows(&allowing, of_private));
    }
}

#[test]
fn a_configured_prefix_in_global_space_is_decoded() {
    let hiding = "2a00:1450:64::169.254.169.254";
    assert!(allows(&Egress::public(), hiding), "an unknown prefix looks global");
    let egress = Egress::public().nat64(["2a00:1450:64::/96", "2a00:1450::/32"]).unwrap();
    assert!(!allows(&egress, hiding));
    // The longest prefix is used.
    assert!(allows(&egress, "2a00:1450:64::93.184.216.34"));
    assert!(!allows(&egress, "2a00:1450:a00:1::"));
}

#[test]
fn an_invalid_nat64_prefix_is_refused() {
    for prefix in
        ["10.0.0.0/8", "64:ff9b::/95", "2001:db8::/33", "2001:db8::1", "2001:db8:0:0:100::/96", "x"]
    {
        let error = Egress::public().nat64([prefix]).unwrap_err();
        assert_eq!(error.kind(), Kind::OptionInvalid, "{prefix}");
    }
}

#[test]
fn private_adds_networks_but_not_the_host() {
    let egress = Egress::private();
    assert!(
        allows(&egress, "10.1.2.3") && allows(&egress, "fd00::1") && allows(&egress, "100.64.0.1")
    );
    assert!(!allows(&egress, "127.0.0.1") && !allows(&egress, "169.254.169.254"));
}
