//! The table of the causes of failures: the symptom and the cure of each. A remedy and the page of its
//! kind are made of the same row, so they cannot differ.
//!
//! A cure may contain `{placeholders}`, which the error fills, and names in backticks, which
//! [`spelling`](super::spelling) writes in the form of the calling language.

use std::fmt::Display;

use super::spelling::spelled;
use super::{Error, Kind, key};

/// A cause of one or several kinds.
pub(crate) struct Cause {
    pub(crate) kinds: &'static [Kind],
    /// Its stable name, which is the fact `cause` of an error.
    pub(crate) name: &'static str,
    /// What the library sees, for the page.
    pub(crate) seen: &'static str,
    /// What to do.
    pub(crate) cure: &'static str,
}

impl Cause {
    /// Returns the cure with the values of its placeholders.
    fn filled(&self, values: &[(&str, &dyn Display)]) -> String {
        let cure = spelled(self.cure);
        let mut text = String::with_capacity(cure.len() + 64);
        let mut rest = &*cure;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            text.push_str(before);
            match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => text.push_str(&value.to_string()),
                None => text.push_str(name),
            }
            rest = after;
        }
        text.push_str(rest);
        text
    }
}

impl Error {
    /// Records the cause, whose cure becomes the remedy.
    ///
    /// * `values`: the placeholders of the cure.
    pub(crate) fn caused(self, cause: &Cause, values: &[(&str, &dyn Display)]) -> Self {
        debug_assert!(
            cause.kinds.contains(&self.kind()),
            "{} of {}",
            cause.name,
            self.kind().name()
        );
        let remedy = cause.filled(values);
        self.advising(remedy).noting(key::CAUSE, cause.name)
    }
}

macro_rules! causes {
    ($($cause:ident: $($kind:ident)|+, $name:literal, $seen:literal, $cure:literal;)*) => {
        $(pub(crate) const $cause: Cause = Cause {
            kinds: &[$(Kind::$kind),+],
            name: $name,
            seen: $seen,
            cure: $cure,
        };)*

        /// Every cause, in the order of the pages.
        pub(crate) const CAUSES: &[&Cause] = &[$(&$cause,)*];
    };
}

causes! {
    // Options and arguments.
    MISSPELLED: OptionInvalid, "misspelled",
        "No option has the name, and one has almost the same.",
        "Did you mean {near}?";
    NO_SUCH_SWITCH: OptionInvalid, "no_such_switch",
        "The name is that of a switch by which other libraries turn verification off.",
        "Verification cannot be turned off: there is no such switch, on purpose. For a consumer with a self-signed certificate, trust that certificate; for a private CA, give its certificate in `trust`; for an expected URI instead of the host name, set `server_uri`.";

    STATUS_OUTDATED: OptionInvalid, "status_outdated",
        "The status of a process in a merged status is more than five minutes old.",
        "Let each process publish its status, and merge them again. Remove the status of a process that has ended.";
    STATUS_PREMATURE: OptionInvalid, "status_premature",
        "The status of a process in a merged status is more than a minute ahead of our clock.",
        "Set the clocks of all machines. Then let each process publish its status, and merge them again.";

    PIN_IS_FINGERPRINT: PinInvalid, "pin_is_fingerprint",
        "A pin is a fingerprint in hex, as openssl and browsers show it.",
        "Write the fingerprint of the certificate as cert-sha256/ and its base64, or better, pin the key: `pin_of` of the certificate returns its pin.";

    // Files of identities, trust and pins.
    FILE_MISSING: PemInvalid, "file_missing",
        "The file does not exist.",
        "Mount or create {file}, or correct the path.";
    FILE_UNREADABLE: PemInvalid, "file_unreadable",
        "The system does not let this process read the file.",
        "Let user id {user} read {file}: check the owner and mode of the file and of each directory above it.";
    FILE_IS_DIRECTORY: PemInvalid, "file_is_directory",
        "The path leads to a directory.",
        "Give the path of the file inside the directory {file}.";
    FILE_NOT_REGULAR: PemInvalid, "file_not_regular",
        "The path leads to a pipe, a socket or a device.",
        "Give the path of a regular file instead of {file}.";
    FILE_TOO_LARGE: PemInvalid, "file_too_large",
        "The file exceeds the limit of its content.",
        "Check whether {file} is the intended file: certificates and keys are far smaller.";
    FILE_HANGS: PemInvalid, "file_hangs",
        "A read of the file, or of one that belongs to it, did not end in time.",
        "Check the file system of {file}: it does not answer.";
    FILE_LEASED: PemInvalid, "file_leased",
        "Another process holds a lease on the file and did not give it up in time.",
        "Find the process that holds a lease on {file} (fcntl F_SETLEASE), and end the lease.";
    FILE_EMPTY: PemInvalid | TrustInvalid | PinInvalid | CrlUnusable, "file_empty",
        "The file is empty.",
        "Check what writes {file}: it is empty. A secret may not be mounted yet.";
    FILE_CUT_OFF: PemInvalid | TrustInvalid | CrlUnusable, "file_cut_off",
        "The file ends within a PEM block.",
        "{file} is cut off or still being written: write the complete file beside it, and rename it into place.";
    FILES_SWAPPED: PemInvalid, "files_swapped",
        "The certificate holds a private key, and the key holds a certificate.",
        "Swap the two arguments: the certificate chain comes first, then the private key.";
    KEY_AS_CERTIFICATE: PemInvalid, "key_as_certificate",
        "The input for certificates holds a private key and no certificate.",
        "Give the certificate here. The input holds a private key: was the key's path or text given by mistake?";
    CERTIFICATE_AS_KEY: PemInvalid, "certificate_as_key",
        "The input for the private key holds certificates and no key.",
        "Give the private key here. The input holds only certificates: was the certificate's path or text given by mistake?";

    PKCS12_WITHOUT_KEY: PemInvalid, "pkcs12_without_key",
        "The PKCS#12 file holds no private key: it was exported without it, or is a store of CAs.",
        "Export the certificate again together with its private key: openssl pkcs12 -export -inkey tls.key -in tls.crt -out identity.p12. If the file holds CAs, it is no identity.";

    // Our own certificate and the clock.
    IDENTITY_EXPIRED: IdentityUnusable | ClientCertificateUnusable, "identity_expired",
        "Our certificate's notAfter is before the clock of this machine.",
        "Check the clock of this machine first (timedatectl). If it is right, renew our certificate.";
    IDENTITY_NOT_YET_VALID: IdentityUnusable | ClientCertificateUnusable, "identity_not_yet_valid",
        "Our certificate's notBefore is after the clock of this machine.",
        "The certificate was issued already, so the clock of this machine is likely slow: check it (timedatectl). If it is right, wait until {not_before}.";
    SIGNATURE_WRONG: SignerFailed, "signature_wrong",
        "The signer answered, and its signature does not verify with our certificate.",
        "Check that the signer uses the key of the certificate, also after a renewal with a new key. It must sign `message`, or `digest` without hashing it again; for RSA-PSS, with a salt as long as the digest.";
    SIGNER_BUSY: SignerTimeout, "signer_busy",
        "As many calls of the signer as its `concurrency` allows did not end.",
        "Check the token or service that holds the key, or raise the signer's `concurrency`.";

    // DNS.
    HOST_UNKNOWN: HostNotFound, "host_unknown",
        "DNS answers that the name does not exist (NXDOMAIN).",
        "Correct the host in the endpoint's URL, or ask the consumer whether {host} was renamed.";
    HOST_WITHOUT_ADDRESS: HostNotFound, "host_without_address",
        "The name exists in DNS and has no A or AAAA record.",
        "Ask the consumer to publish an A or AAAA record for {host}.";
    NAME_SERVER_FAILED: ResolveFailed, "name_server_failed",
        "The name server answers SERVFAIL or REFUSED.",
        "The name servers of the zone of {host} fail, or the resolver may not ask them. Call the operator of the consumer's DNS; compare with: dig {host} @another-resolver.";
    NAME_SERVER_DOWN: ResolveFailed, "name_server_down",
        "Nothing listens at the address of the name server.",
        "Start the resolver at {server}, or correct /etc/resolv.conf on this machine.";
    NAME_SERVER_SILENT: ResolveFailed | DeadlineExceeded, "name_server_silent",
        "The name server does not answer.",
        "Call our own network team: the resolver {server} of this machine (/etc/resolv.conf) does not answer, or its packets are dropped.";
    LOOKUP_FAILED: ResolveFailed, "lookup_failed",
        "The system's resolver failed for another reason.",
        "Check the resolver of this machine: /etc/resolv.conf and /etc/nsswitch.conf, with getent ahosts {host}.";

    // Egress.
    METADATA_DENIED: EgressDenied, "metadata_denied",
        "The consumer's name or URL leads to the metadata service of a cloud.",
        "Do not allow this address. Treat the URL as hostile, and ask the consumer about it.";

    // TCP.
    CONNECTION_REFUSED: ConnectFailed, "connection_refused",
        "The host answers that nothing listens on the port.",
        "Ask the consumer whether its server runs and listens on {addresses}, and check the port in the URL.";
    CONNECTION_UNANSWERED: ConnectFailed | DeadlineExceeded, "connection_unanswered",
        "No packet comes back: neither an acceptance nor a refusal.",
        "Packets to {addresses} are dropped: check the firewalls of both sides, whether the address is right, and whether the host is up.";
    NETWORK_UNREACHABLE: ConnectFailed, "network_unreachable",
        "This machine or a router on the path has no route to the address.",
        "Check the routes and the firewall of our own network: nothing leads to {addresses}.";

    // The proxy.
    PROXY_UNREACHABLE: ConnectFailed | HostNotFound | ResolveFailed, "proxy_unreachable",
        "No connection to the proxy could be opened.",
        "Check that the proxy runs at {proxy}, and that this machine may reach it. The consumer is not at fault.";
    PROXY_FORBIDS: ProxyRefused, "proxy_forbids",
        "The proxy answers 403 or another 4xx to CONNECT.",
        "Allow CONNECT to {target} in the proxy's rules. The proxy is asked for the address, not for the name, so a rule by name refuses it. If the proxy allows by name only, set `proxy_by_name`: the proxy then resolves names, and the egress policy does not apply to them.";
    PROXY_CREDENTIALS: ProxyRefused, "proxy_credentials",
        "The proxy answers 401 or 407.",
        "Set or correct the user and password of the proxy in the option `proxy`.";
    PROXY_SCHEME: ProxyRefused, "proxy_scheme",
        "The proxy answers 407 and offers no Basic authentication.",
        "The proxy {proxy} asks for {schemes}, and this library authenticates with Basic alone. Let the proxy accept Basic for this client, or allow this machine without authentication.";
    PROXY_CANNOT_REACH: ProxyRefused, "proxy_cannot_reach",
        "The proxy answers 5xx: it works, and could not connect to the consumer.",
        "The proxy {proxy} works and could not reach {target}. Check that the consumer listens there, and read the proxy's log.";
    PROXY_BUSY: ProxyRefused, "proxy_busy",
        "The proxy answers 408 or 429: it is too slow, or limits the number of tunnels.",
        "Raise the limit of the proxy {proxy}, or lower `max_connections`.";
    NOT_A_PROXY: ProxyRefused, "not_a_proxy",
        "The server at the proxy's address does not take CONNECT: it answers another status, HTML, or something that is not HTTP.",
        "Correct the proxy's address in the option `proxy`: the server at {proxy} does not take CONNECT. It is likely a web server.";
    PROXY_CLOSES: ProxyRefused, "proxy_closes",
        "The proxy closes the connection without an answer to CONNECT.",
        "Read the log of the proxy {proxy}: it closed the connection when it was asked for {target}. A proxy that expects TLS from its clients does the same.";
    PROXY_SILENT: ProxyRefused | DeadlineExceeded, "proxy_silent",
        "The proxy does not answer CONNECT in time.",
        "The proxy {proxy} most likely waits for {target}, which does not answer. Check that the consumer is up, and that the proxy's network may reach it.";

    // TLS.
    NOT_TLS: TlsFailed, "not_tls",
        "The answer to our first TLS message is not TLS.",
        "Check the port in the URL: the service there does not speak TLS.";
    NOT_TLS_BEHIND_PROXY: TlsFailed, "not_tls_behind_proxy",
        "The answer that comes through the proxy is not TLS: the proxy or a portal answers itself, or the port is wrong.",
        "Check the option `proxy`: {proxy} may be a captive portal or a web server that answers CONNECT with a page. If it is a proxy, the service at {address} does not speak TLS: check the port in the URL.";
    ACCESS_DENIED: TlsFailed, "access_denied",
        "The consumer, or a firewall, ends the handshake with the alert access_denied before it has our certificate.",
        "Ask the consumer to allow this address of ours in its firewall or rules.";
    PROTOCOL_MISMATCH: TlsFailed, "protocol_mismatch",
        "The consumer has no TLS 1.3, and this endpoint asks for it.",
        "The consumer must enable TLS 1.3, or set `min_tls` to 1.2 for this endpoint.";
    PROTOCOL_TOO_OLD: TlsFailed, "protocol_too_old",
        "The consumer has neither TLS 1.3 nor TLS 1.2.",
        "The consumer must enable TLS 1.3 or 1.2. No setting here accepts an older version.";
    NO_EXTENDED_MASTER_SECRET: TlsFailed, "no_extended_master_secret",
        "The consumer speaks TLS 1.2 without extended master secret (RFC 7627).",
        "The consumer must enable TLS 1.3, or extended master secret for TLS 1.2. No setting here accepts it without.";
    NO_COMMON_ALGORITHM: TlsFailed, "no_common_algorithm",
        "Both sides have no cipher suite, group or signature scheme in common.",
        "Compare the algorithms: the consumer must offer AES-GCM or ChaCha20-Poly1305 with ECDHE on X25519, P-256 or P-384.";
    NO_COMMON_APPLICATION_PROTOCOL: TlsFailed, "no_common_application_protocol",
        "The consumer refuses HTTP/1.1 in ALPN.",
        "The consumer must offer http/1.1 in ALPN: HTTP/2 alone is not enough.";
    NAME_NOT_SERVED: TlsFailed, "name_not_served",
        "The consumer sends the alert unrecognized_name.",
        "The consumer serves no site of the name {host}: check the host in the URL, and the server names in its configuration.";
    CONSUMER_INTERNAL_ERROR: TlsFailed, "consumer_internal_error",
        "The consumer sends the alert internal_error.",
        "The consumer's TLS has failed: ask it for the line of its error log.";

    // The peer's certificate.
    PEER_NOT_YET_VALID: CertificateNotYetValid, "peer_not_yet_valid",
        "The notBefore of a certificate of the peer is after the time of the check.",
        "Check the clock of this machine first (timedatectl): the certificate was issued already. If it is right, the clock of the peer's CA is ahead: wait until {not_before}.";
    OTHER_ROOT: IssuerUnknown, "other_root",
        "The peer's chain ends at another CA than those of the trust.",
        "Check first that `trust` has the CA of this peer. If it has, ask the peer's operator whether the peer changed its CA. Trust {root} only if the operator hands over its certificate, never from this connection.";
    ISSUER_NOT_SENT: IssuerUnknown, "issuer_not_sent",
        "The issuer of the peer's certificate, or of an intermediate, is neither in the trust nor among the certificates that the peer sent.",
        "Check first that `trust` has the CA of this peer. If it has, the peer must send every intermediate between its certificate and that CA.";
    CHAIN_WITHHELD: IssuerUnknown, "chain_withheld",
        "The socket's TLS library reports the peer's certificate without the rest of its chain, as it does for a resumed session.",
        "Give the certificate of {issuer} to the trust as `intermediates`, or turn off the resumption of sessions (session tickets) in the TLS server.";
    ADDRESS_NOT_NAMED: NameMismatch, "address_not_named",
        "The URL has an IP address, and the certificate does not contain it.",
        "Use a name of the certificate in the URL, or set `server_name` to one of them. If the URL must have the address, the certificate needs it as an IP address in subjectAltName.";
    SIGNATURE_NOT_ACCEPTED: CertificateInvalid, "signature_not_accepted",
        "A certificate of the peer is signed with an algorithm that is not accepted, such as SHA-1.",
        "The CA {issuer} must issue {subject} again, signed with SHA-256 or better. The other certificates of the chain may stay.";

    // Our certificate, as the consumer judges it.
    ALERT_CERTIFICATE_EXPIRED: ClientCertificateRejected, "alert_certificate_expired",
        "The consumer says that our certificate has expired (alert 45); by our clock it has not.",
        "By our clock our certificate {subject} is valid until {not_after}, so the consumer's clock is likely ahead. Ask the consumer to check its clock (timedatectl), or renew our certificate.";
    ALERT_CERTIFICATE_REVOKED: ClientCertificateRejected, "alert_certificate_revoked",
        "The consumer says that our certificate is revoked (alert 44).",
        "Ask our CA {issuer} whether it revoked serial {serial}. If so, issue and install a new certificate; if not, the consumer's CRL is wrong.";
    ALERT_UNSUPPORTED_CERTIFICATE: ClientCertificateRejected, "alert_unsupported_certificate",
        "The consumer says that it does not support our certificate (alert 43): mostly its purpose.",
        "Check the extensions of our certificate {subject}: it needs clientAuth in extendedKeyUsage and digitalSignature in keyUsage, and a key type that the consumer supports.";
    ALERT_UNKNOWN_CA: ClientCertificateRejected, "alert_unknown_ca",
        "The consumer finds no path from our certificate to a CA that it trusts (alert 48).",
        "Ask the consumer to trust the CA {root} for clients. If it does already, our certificate file lacks an intermediate: we sent {sent}.";
    ALERT_BAD_CERTIFICATE: ClientCertificateRejected, "alert_bad_certificate",
        "The consumer says that our certificate is bad (alert 42), without a reason. Go and some Java servers send it for every fault.",
        "Ask the consumer for the reason in its log. Send it our certificate: {subject}, issued by {issuer}, valid until {not_after}.";
    ALERT_CERTIFICATE_UNKNOWN: ClientCertificateRejected, "alert_certificate_unknown",
        "The consumer refuses our certificate without a reason (alert 46). Java servers send it for every fault.",
        "Ask the consumer for the reason in its log. Send it our certificate: {subject}, issued by {issuer}, valid until {not_after}.";
    ALERT_ACCESS_DENIED: ClientCertificateRejected, "alert_access_denied",
        "The consumer verified our certificate, and its rules refuse it (alert 49).",
        "Ask the consumer which subject or subjectAltName its rules allow; ours: {names}.";
    ALERT_CERTIFICATE_REQUIRED: ClientCertificateRejected, "alert_certificate_required",
        "The consumer says that no certificate arrived (alert 116), although we sent one.",
        "We sent the certificate {subject}. Ask the consumer whether a proxy in front of it ends TLS and drops client certificates.";
    PAGE_NOT_ACCEPTED: ClientCertificateRejected, "page_not_accepted",
        "The consumer's server answers its page for a certificate that it does not accept (nginx: HTTP 400 or 495).",
        "Ask the consumer for the line with \"client SSL certificate verify error\" of its error log. Likely: it does not trust {root}, its ssl_verify_depth is too small for our chain of {sent}, it revoked our certificate, or its clock is wrong.";
    CLOSED_AFTER_HANDSHAKE: ClientCertificateRejected, "closed_after_handshake",
        "The consumer closes the connection between the handshake and the request, without an alert, as Node does. It accepted another certificate of ours before, or the CAs that it names do not include ours.",
        "Ask the consumer to accept {root} for clients, to which our certificate leads.";
    PAGE_NOT_SENT: ClientCertificateRejected, "page_not_sent",
        "The consumer's server answers its page for a missing certificate (nginx: HTTP 400 or 496).",
        "We had a certificate for the consumer, {subject}, and its server says that none arrived. Ask the consumer whether the list of CAs that it sends to clients names {root}.";

    // The response.
    REDIRECT: HttpStatus, "redirect",
        "The consumer answers 3xx. Redirects are never followed, because a payload must go only to the endpoint that was verified.",
        "Ask the consumer whether {location} is its new address, then set that URL.";
    REDIRECT_WITHOUT_LOCATION: HttpStatus, "redirect_without_location",
        "The consumer answers 3xx without an address in Location.",
        "Ask the consumer for the URL that accepts the POST, then set it.";
    STATUS_400: HttpStatus, "status_400",
        "The consumer answers 400.",
        "The consumer could not read the request or its payload. Show it the answer, the payload's format and its content type.";
    STATUS_401: HttpStatus, "status_401",
        "The consumer answers 401.",
        "The consumer wants a credential in a header beside our certificate, or its application does not know {names}. Ask the consumer for it, and pass it in `headers`.";
    STATUS_403: HttpStatus, "status_403",
        "The consumer's TLS accepted our certificate, and its application or its rules refuse us.",
        "Ask the consumer to allow our certificate in its application or rules; its names: {names}.";
    STATUS_404: HttpStatus, "status_404",
        "The consumer's server has nothing at the path of the URL.",
        "Check the path of the endpoint's URL with the consumer: its server runs, and knows no such path.";
    STATUS_405: HttpStatus, "status_405",
        "The consumer's server takes no POST at the path of the URL.",
        "Check the path of the endpoint's URL with the consumer: the resource there takes no POST.";
    STATUS_408: HttpStatus, "status_408",
        "The consumer waited too long for the request.",
        "Try again later. If it recurs, the path to the consumer is slow, or its read timeout is too short for {length} bytes.";
    STATUS_409: HttpStatus, "status_409",
        "The consumer answers that the event conflicts with its state.",
        "Ask the consumer about the conflict: it may have the event already.";
    STATUS_410: HttpStatus, "status_410",
        "The consumer says that the endpoint is gone for good.",
        "Disable this endpoint, and tell its owner: the consumer says that it is gone for good.";
    STATUS_413: HttpStatus, "status_413",
        "The payload is too large for the consumer.",
        "{length} bytes are too many for the consumer. Ask for its limit (nginx: client_max_body_size), or send a smaller payload.";
    STATUS_414: HttpStatus, "status_414",
        "The path and query of the URL are too long for the consumer.",
        "Shorten the endpoint's URL, or ask the consumer to raise its limit.";
    STATUS_415: HttpStatus, "status_415",
        "The consumer does not take the content type of the payload.",
        "Ask the consumer which content type it takes, and set `content_type`.";
    STATUS_421: HttpStatus, "status_421",
        "The server that answers does not serve the host of the URL.",
        "Check the host of the endpoint's URL with the consumer: the server that answered does not serve this name. Its DNS or its proxy leads to another server.";
    STATUS_422: HttpStatus, "status_422",
        "The consumer understands the payload's format and refuses its content.",
        "Show the consumer the answer and the event's schema: its application refuses the content of the payload.";
    STATUS_425: HttpStatus, "status_425",
        "The consumer does not want the request yet.",
        "Try again later. The consumer takes the request for TLS early data, which this library never sends: a proxy in front of it is misconfigured if it recurs.";
    STATUS_429: HttpStatus, "status_429",
        "The consumer receives too many requests.",
        "The consumer limits the rate{wait}. Deliver more slowly: set `rate` for this endpoint, or ask the consumer to raise its limit.";
    STATUS_431: HttpStatus, "status_431",
        "The request headers are too large for the consumer.",
        "Send fewer or shorter `headers`, or ask the consumer to raise its limit.";
    STATUS_500: HttpStatus, "status_500",
        "The consumer's application failed.",
        "The consumer's application failed with the payload. Show the consumer the time and the event's id; nothing is to be done here.";
    STATUS_501: HttpStatus, "status_501",
        "The consumer's server does not implement the method POST.",
        "Check the endpoint's URL with the consumer: its server does not take POST.";
    STATUS_502: HttpStatus, "status_502",
        "The server in front is up, and the application behind it is not.",
        "The server in front of the consumer is up, and the application behind it does not answer. Tell the consumer; nothing is to be done here.";
    STATUS_503: HttpStatus, "status_503",
        "The consumer is overloaded or in maintenance.",
        "The consumer is overloaded or in maintenance{wait}. Try again later; nothing is to be done here.";
    STATUS_504: HttpStatus, "status_504",
        "The server in front is up, and the application behind it is too slow.",
        "The application behind the server in front did not answer it in time. Tell the consumer: its application is too slow, and may have processed the payload.";
    STATUS_4XX: HttpStatus, "status_4xx",
        "The consumer refuses the request with another 4xx.",
        "Ask the consumer why it refuses the request; the answer may say it.";
    STATUS_5XX: HttpStatus, "status_5xx",
        "The consumer failed with another 5xx.",
        "Tell the consumer; nothing is to be done here.";
    INVALID_LINE: HttpInvalid, "invalid_line",
        "A line of the response head is not valid HTTP/1.1 (RFC 9112).",
        "Show the consumer this line of its response: its server or a proxy in front of it writes it.";

    // Silence and loss.
    TURN_AWAITED: Overloaded, "turn_awaited",
        "The delivery waited for a turn of its endpoint until its deadline.",
        "The consumer is slow, or `concurrency` is too low for it: raise `concurrency`, or deliver more slowly.";
    RATE_AWAITED: Overloaded, "rate_awaited",
        "The `rate` of the endpoint lets the delivery start only after its deadline.",
        "More deliveries arrive than the `rate` of this endpoint lets start. Deliver again when the error says, or raise `rate` if the consumer agrees.";
    CONNECTION_AWAITED: Overloaded, "connection_awaited",
        "The delivery waited for a free connection until its deadline.",
        "Raise `max_connections` of the dispatcher, or deliver more slowly.";
    SILENT_HANDSHAKE: DeadlineExceeded, "silent_handshake",
        "The consumer accepts the TCP connection and does not finish the TLS handshake.",
        "{address} accepts connections and sends nothing that completes the TLS handshake: a hung process, a service that does not speak TLS, or a firewall that drops what follows. Ask the consumer.";
    SLOW_WRITE: DeadlineExceeded, "slow_write",
        "The consumer does not read the request.",
        "The consumer at {address} stopped reading the request: its server hangs, or the path is too slow for the payload in `write_timeout`.";
    SLOW_RESPONSE: DeadlineExceeded, "slow_response",
        "The consumer took the request and did not answer in time.",
        "The consumer at {address} took the request and did not answer. Ask it to answer before it processes the event, or raise `response_timeout`.";
    TOTAL_TOO_SHORT: DeadlineExceeded, "total_too_short",
        "The time limit of the whole delivery passed.",
        "Try again later. If it recurs, raise `timeout`, or find out why stage {stage} takes so long.";
    HANDSHAKE_CUT: ConnectionLost, "handshake_cut",
        "The connection ends during the TLS handshake, without an alert.",
        "Ask the consumer for its log: the server may not speak TLS on this port or know no site of this name, a load balancer may have no server behind it, or a firewall may cut the connection.";
    FIRST_MESSAGE_TOO_LARGE: ConnectionLost | DeadlineExceeded, "first_message_too_large",
        "Our first message of the handshake is larger than 1400 bytes, and silence, a close or a reset followed.",
        "Our first message of {bytes} bytes got no answer. It does not fit into one packet, and some firewalls drop or reset such connections: set `post_quantum` of the endpoint to false.";
    CONNECTION_RESET: ConnectionLost, "connection_reset",
        "The peer, or a firewall on the path, resets the connection.",
        "The connection to {address} was reset: the consumer's server crashed, a firewall cut it, or the server refuses our certificate without an alert. Ask the consumer for its log. It may already have the payload, unless sent is nothing.";
    CONNECTION_CLOSED: ConnectionLost, "connection_closed",
        "The consumer closes the connection without a response.",
        "The consumer at {address} closed the connection without a response: its server was restarted, crashed, or refuses our certificate without an alert. Ask the consumer for its log. It may already have the payload, unless sent is nothing.";

    // Signatures and tokens of a received webhook.
    HEADER_REPEATED: SignatureInvalid | TokenInvalid, "header_repeated",
        "A header of the signature or the token occurs twice.",
        "Send {header} once. If a proxy adds its own, let it remove the sender's first.";
    SIGNATURE_MISSING: SignatureInvalid, "signature_missing",
        "The webhook has no signature, or lacks a header that the signature covers.",
        "Send {header} by Standard Webhooks. A receiver of tokens alone can set `require_signature` to false.";
    TIMESTAMP_OUT_OF_TOLERANCE: SignatureInvalid, "timestamp_out_of_tolerance",
        "The signed timestamp is too far from the receiver's clock.",
        "Compare the clocks of both sides, which may differ by {tolerance} s, and sign each attempt anew.";
    SIGNATURE_MISMATCH: SignatureInvalid, "signature_mismatch",
        "No known secret made the signature of this message.",
        "Compare the secrets of both sides, and pass the body as it arrived, byte by byte.";
    TOKEN_MISSING: TokenInvalid, "token_missing",
        "The webhook has no bearer token.",
        "Send the token as authorization: Bearer. A receiver of signatures alone can set `require_token` to false.";
    TOKEN_MALFORMED: TokenInvalid, "token_malformed",
        "The token is no JWT in compact form, or a claim has a wrong type.",
        "Send a signed JWT: three parts of base64url, separated by full stops.";
    TOKEN_UNSIGNED: TokenInvalid, "token_unsigned",
        "The token has the algorithm none.",
        "Sign the token. Treat an unsigned token as an attack.";
    TOKEN_ALGORITHM: TokenInvalid, "token_algorithm",
        "The algorithm of the token is not that of its key.",
        "Sign with ES256 for a P-256 key, EdDSA for Ed25519 and RS256 for RSA. Treat another algorithm as an attack.";
    TOKEN_KEY_UNKNOWN: TokenInvalid, "token_key_unknown",
        "No known key has the key id of the token.",
        "Give the receiver the sender's new public key before the sender signs with it.";
    TOKEN_SIGNATURE: TokenInvalid, "token_signature",
        "The key did not make the signature of the token.",
        "Compare the keys of both sides. Treat a changed token as an attack.";
    TOKEN_EXPIRED: TokenInvalid, "token_expired",
        "The token has expired, or has no expiry.",
        "Make a new token for each attempt, and compare the clocks of both sides.";
    TOKEN_NOT_YET_VALID: TokenInvalid, "token_not_yet_valid",
        "The claim nbf or iat of the token is in the future.",
        "Compare the clocks of both sides.";
    TOKEN_AUDIENCE: TokenInvalid, "token_audience",
        "The token is not for this audience.",
        "Set the option `audience` on both sides to the same text.";
    TOKEN_ISSUER: TokenInvalid, "token_issuer",
        "The token is not of this issuer.",
        "Set the option `issuer` on both sides to the same text.";
    TOKEN_UNBOUND: TokenInvalid, "token_unbound",
        "The token has no claim cnf with x5t#S256.",
        "Bind the token to the client certificate (RFC 8705 section 3.1).";
    TOKEN_OF_ANOTHER_CERTIFICATE: TokenInvalid, "token_of_another_certificate",
        "The token is bound to another certificate than that of the connection.",
        "Make the token for the certificate that the connection presents. If a proxy ends TLS, forward the sender's certificate. Else treat it as a stolen token.";
    TOKEN_WITHOUT_DIGEST: TokenInvalid, "token_without_digest",
        "The receiver requires a digest of the body, and the token has none.",
        "Set `content_digest` at the sender.";
    TOKEN_OF_ANOTHER_BODY: TokenInvalid, "token_of_another_body",
        "The digest in the token is not that of the body.",
        "Pass the body as it arrived, byte by byte. Treat a changed body as an attack.";
    TOKEN_OF_ANOTHER_ID: TokenInvalid, "token_of_another_id",
        "The webhook-id in the token is not that of the request.",
        "Make a token for each webhook.";
    PEER_WITHOUT_TENANT: TenantRefused, "peer_without_tenant",
        "The peer is verified, and its certificate names no tenant.",
        "Verify the peer with a tenant rule.";
    TENANT_WITHOUT_KEYS: TenantRefused, "tenant_without_keys",
        "The receiver has neither secrets nor keys of the peer's tenant.",
        "Add the tenant to `secrets` or to `keys`, if it may send webhooks.";
    TOKEN_OF_ANOTHER_TENANT: TenantRefused, "token_of_another_tenant",
        "The token names another tenant than the peer's certificate, or none.",
        "Compare the claim of the option `tenant_claim` with the tenant of the certificate. Treat a difference as an attack.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_one_name_and_two_sentences() {
        for (at, cause) in CAUSES.iter().enumerate() {
            assert!(CAUSES[..at].iter().all(|other| other.name != cause.name), "{}", cause.name);
            assert!(
                cause.seen.ends_with('.') && cause.cure.ends_with(['.', '?']),
                "{}",
                cause.name
            );
            assert!(!cause.kinds.is_empty());
        }
    }

    #[test]
    fn a_cure_names_what_was_seen() {
        let error = Error::new(Kind::PemInvalid, "missing")
            .caused(&FILE_MISSING, &[("file", &"/certs/{x}.pem")]);
        assert_eq!(error.remedy(), "Mount or create /certs/{x}.pem, or correct the path.");
        assert_eq!(error.context()["cause"], "file_missing");
    }
}
