"""A real SPIRE issues SVIDs of a minute to both sides while four languages deliver.

The sender and the consumer are in two trust domains, each with a server and an agent.
"""

import contextlib
import json

import spire
import tools
from case import Case
from receiver import Receiver
from workload import Workload

ROTATIONS = 3


class Spire(Case):
    def setUp(self):
        self.corp, self.acme = spire.Domain("corp.example"), spire.Domain("acme.example")
        both = (self.corp, self.acme), (self.acme, self.corp)
        for domain, _ in both:
            self.addCleanup(domain.stop)
            domain.start()
        for domain, other in both:
            domain.federate(other)
        sender = self.corp.enter("/webhooks", self.acme)
        self.consumer = self.acme.enter("/receiver", self.corp)
        self.ours = self.enterContext(spire.Fetched(self.corp))
        self.theirs = self.enterContext(spire.Fetched(self.acme))
        assert sender in tools.openssl("x509", "-in", self.ours.svid, "-noout", "-text")
        files = (self.theirs.svid, self.theirs.key, self.theirs.theirs)
        self.receiver = self.enterContext(Receiver(*files))
        self.url = f"https://127.0.0.1:{self.receiver.server_address[1]}"

    def test_both_sides_rotate_and_get_a_new_authority_while_deliveries_run(self):
        with contextlib.ExitStack() as running:
            from_files = [running.enter_context(self.of_files(it)) for it in tools.CLIENTS]
            from_api = [running.enter_context(self.of_api(it)) for it in tools.WORKLOADS]
            self.all_have_come()
            for number in range(ROTATIONS):
                for fetched in (self.ours, self.theirs):
                    fetched.wait_for(lambda it=fetched, n=number: len(it.serials) > n + 1)
                self.all_have_come()
            self.replace_authorities(from_files, from_api)
            self.all_have_come()
            self.finish_files(from_files)
            assert [client.failed for client in from_api] == [[] for _ in from_api]
            rotations = len(self.ours.serials) - 1
            for client in from_api:
                svids = [it for it in client.rotated if "svid.pem" in it]
                assert len(svids) == rotations, (client.language, client.rotated)
            self.end_federation(from_api)
        # Each SVID has a new key, so a receiver that has none of them has seen them all.
        assert len(set(self.ours.serials)) >= ROTATIONS + 2, self.ours.serials
        assert len(set(self.theirs.serials)) >= ROTATIONS + 2, self.theirs.serials
        assert self.receiver.loads >= ROTATIONS + 2

    def of_files(self, language: str) -> tools.Client:
        """Returns a client with the files that the agent's command writes."""
        env = {"WMTLS_CERT": str(self.ours.svid), "WMTLS_KEY": str(self.ours.key)}
        env["WMTLS_SERVER_URI"] = self.consumer
        return tools.Client(language, self.url, self.ours.place, self.ours.theirs, **env)

    def of_api(self, language: str) -> Workload:
        """Returns a client that follows the Workload API of the agent."""
        url = f"{self.url}/{language}-api"
        return Workload(language, url, self.corp.agent_socket, self.consumer)

    def all_have_come(self) -> None:
        """Waits until the receiver has seen each SVID so far, from each client."""
        paths = [f"/{language}" for language in tools.CLIENTS]
        paths += [f"/{language}-api" for language in tools.WORKLOADS]
        for serial in list(self.ours.serials):
            for path in paths:
                self.receiver.wait_for(path, serial, tools.LIMIT)

    def replace_authorities(self, from_files: list[tools.Client], from_api: list[Workload]) -> None:
        """Announces a new authority of both domains, uses it, and revokes the former."""
        domains = (self.corp, self.acme)
        former = [domain.active() for domain in domains]
        new = [domain.authority("prepare") for domain in domains]
        self.exchange_bundles(2)
        for client in from_files:
            client.wait_for(
                lambda it=client: any(
                    "federated_bundle" in json.dumps(event) for event in it.named("rotated")
                )
            )
        for client in from_api:
            client.wait_for_rotation("acme.example.bundle.pem")
        for domain, authority, old in zip(domains, new, former, strict=True):
            domain.authority("activate", authority)
            # The agent renews the SVIDs of a tainted authority at once.
            domain.authority("taint", old)
        for fetched, authority in zip((self.ours, self.theirs), new, strict=True):
            fetched.wait_for(lambda it=fetched, new=authority: it.issuer == new)
            fetched.fetched_again()
        self.all_have_come()
        for domain, old in zip(domains, former, strict=True):
            domain.authority("revoke", old)
        self.exchange_bundles(1)

    def exchange_bundles(self, authorities: int) -> None:
        """Lets each server fetch the bundle of the other, and waits until files have it."""
        for domain, other in ((self.corp, self.acme), (self.acme, self.corp)):
            domain.server("federation", "refresh", "-id", f"spiffe://{other.name}")
        for fetched in (self.ours, self.theirs):
            fetched.wait_for_authorities(authorities)

    def finish_files(self, clients: list[tools.Client]) -> None:
        rotations = len(self.ours.serials) - 1
        for client in clients:
            client.finish()
            assert client.failed == [], (client.language, client.failed[0])
            assert client.delivered > 0, client.language
            assert client.named("rotation_failed") == [], (client.language, client.events)
            svids = [it for it in client.named("rotated") if "svid.0.pem" in json.dumps(it)]
            assert len(svids) == rotations, (client.language, client.events)

    def end_federation(self, clients: list[Workload]) -> None:
        """Ends the federation: the domain of the consumer is trusted no longer."""
        theirs = f"spiffe://{self.acme.name}"
        self.corp.server("federation", "delete", "-id", theirs)
        self.corp.server("bundle", "delete", "-id", theirs, "-mode", "dissociate")
        for client in clients:
            client.wait_for_outcome("issuer_unknown")
            client.finish()
            assert client.left == [], client.left
