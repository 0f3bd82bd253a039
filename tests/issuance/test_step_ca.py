"""A real step-ca renews both sides while four languages deliver."""

import contextlib
import time

import tools
from case import Case


class StepCa(Case):
    @classmethod
    def setUpClass(cls):
        cls.ca = tools.StepCa()
        cls.addClassCleanup(cls.ca.stop)

    def setUp(self):
        self.server = self.ca.issue_server()
        self.receive(self.server / "tls.crt", self.server / "tls.key", self.ca.root)

    def test_renewed_in_place_on_both_sides_then_with_a_new_key(self):
        place = self.ca.issue()
        clients = self.clients(place)
        with contextlib.ExitStack() as daemons:
            ours = daemons.enter_context(tools.RenewDaemon(self.ca, place))
            theirs = daemons.enter_context(tools.RenewDaemon(self.ca, self.server))
            for daemon in (ours, theirs):
                daemon.wait_for(lambda it=daemon: len(it.serials) >= tools.RENEWALS)
        # The daemon may have ended between a renewal and its message.
        if (last := tools.serial(place / "tls.crt")) not in ours.serials:
            ours.serials.append(last)
        self.seen_by_all(ours.serials)
        assert len(set(ours.serials)) == len(ours.serials) >= tools.RENEWALS
        rotations = len(ours.serials)
        # Two files, one after the other, with a new key.
        for _ in range(2):
            key = (place / "tls.key").read_bytes()
            self.ca.run("rekey", place)
            assert (place / "tls.key").read_bytes() != key
            rotations += 1
            self.seen_by_all([tools.serial(place / "tls.crt")])
        self.finish(clients, rotations)
        assert self.receiver.loads > 1, "the receiver has never used a renewed certificate"

    def test_requests_of_the_command_while_deliveries_run(self):
        place = self.ca.place()
        self.ca.run("request", place)
        clients = self.clients(place)
        names = self.names(place)
        assert "URI:spiffe://corp/webhooks" in names, names
        for _ in range(2):
            self.ca.run("request-again", place)
            assert self.names(place) == names
            self.seen_by_all([tools.serial(place / "tls.crt")])
        self.finish(clients, 2)

    def names(self, place) -> str:
        shown = ("-noout", "-subject", "-ext", "subjectAltName,extendedKeyUsage")
        return tools.openssl("x509", "-in", place / "tls.crt", *shown)


class CaDown(Case):
    def test_warnings_come_before_the_end(self):
        with tools.StepCa() as ca:
            server = ca.issue_server()
            place = ca.issue("30s")
        # From here on, nothing can be renewed.
        self.receive(server / "tls.crt", server / "tls.key", ca.root)
        clients = self.clients(place)
        daemon = self.enterContext(tools.RenewDaemon(ca, place))
        for client in clients:
            for name in ("file_stale", "expiry"):
                client.wait_for(lambda it=client, name=name: it.named(name))
                fields = client.named(name)[0]["fields"]
                left = fields["not_after_ms"] / 1000 - time.time()
                assert left > 0, (client.language, name, left)
                assert fields["fraction_left"] <= 0.2, (client.language, fields)
        # All stop now, and none delivers with a certificate that has expired.
        for client in clients:
            client.process.stdin.close()
        self.finish(clients, 0)
        assert daemon.serials == []
        assert any("error" in line.lower() for line in daemon.lines), daemon.lines
