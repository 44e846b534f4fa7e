"""What to type, per command: shown by `--help` and on the command's page in docs/commands."""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "doctor": (
        ("testbed doctor", "what works here, what is missing, and what to install"),
        ("testbed doctor --leftovers", "what a killed lab might have left: nothing, hopefully"),
    ),
    "check": (
        (
            "testbed check topologies/quickstart.yaml",
            "every mistake, with its line and what to write",
        ),
        ("testbed check mine.yaml --set proxy.mode=ipvs", "with a value changed"),
    ),
    "schema": (
        ("testbed schema > topology.schema.json", "for an editor"),
        ("testbed schema -o table", "every key with its default, to read"),
    ),
    "render": (("testbed render topologies/quickstart.yaml", "as Kubernetes manifests"),),
    "import": (
        (
            "kubectl get nodes,pods,services,endpointslices -A -o yaml | testbed import - -w mine.yaml",
            "then: testbed up mine.yaml",
        ),
        (
            "testbed import nodes.json pods.json services.json",
            "from several files, to standard output",
        ),
        (
            "testbed import clos.clab.yml --role 'client*=host' -w clos.yaml",
            "containerlab's machines and links, under a cluster",
        ),
    ),
    "up": (
        ("testbed up topologies/quickstart.yaml", "returns when every pod answers a packet"),
        (
            "testbed up topologies/quickstart.yaml --set workloads.web.replicas=5",
            "on a lab that runs: only the difference",
        ),
        (
            "testbed up topologies/quickstart.yaml --name b --set proxy.mode=nftables",
            "the same cluster beside it, with another proxy mode",
        ),
    ),
    "down": (
        ("testbed down quickstart", "one lab"),
        ("testbed down --all", "every lab of this user"),
    ),
    "ls": (("testbed ls", ""), ("testbed ls -o json", "for a script")),
    "inspect": (
        ("testbed inspect", "the only lab that runs"),
        ("testbed inspect quickstart -o json", "for a script"),
    ),
    "exec": (
        ("testbed exec quickstart client-0 -- curl -s http://web/hostname", "from a pod"),
        ("testbed exec quickstart n1 -- ip route", "on a node"),
        ("testbed exec quickstart client -- bash", "a shell on the machine outside"),
        ("testbed exec mininet-tree mininet -- pingall", "a line of Mininet's CLI"),
    ),
    "apply": (
        ("testbed apply quickstart -f shop.yaml", "created, configured or unchanged, one by one"),
        (
            "testbed apply quickstart -f manifests/ -n shop --dry-run",
            "what would become of a folder",
        ),
        ("kubectl kustomize overlay | testbed apply quickstart -f -", "from standard input"),
    ),
    "kubectl": (
        ("testbed kubectl quickstart -- get pods -o wide", "kubectl's own words follow `--`"),
        ("testbed kubectl quickstart -- scale deployment web --replicas=5", ""),
    ),
    "kubeconfig": (
        (
            "export KUBECONFIG=$(testbed kubeconfig quickstart)",
            "for this shell: kubectl, helm, client libraries",
        ),
        ("testbed kubeconfig quickstart --merge", "a context of your own kubeconfig"),
        ("testbed kubeconfig quickstart -o yaml", "to look at"),
    ),
    "ca": (("testbed ca ingress > ca.pem", "then: curl --cacert ca.pem"),),
    "rules": (
        ("testbed rules quickstart n1", "as iptables-save, nft or ipvsadm prints them"),
        ("testbed rules quickstart n1 | grep default/web", "those of one service"),
        ("testbed rules quickstart n1 --diff node.save", "what a real node's rules do differently"),
        ("testbed rules --diff before.save after.save", "two dumps, without a lab"),
    ),
    "resolve": (
        ("testbed resolve quickstart client-0 web", "through the search path, query by query"),
        ("testbed resolve quickstart client-0 web.default.svc.cluster.local.", "as it is"),
        ("testbed resolve quickstart client-0 10.96.0.10 --type PTR", "who an address is"),
        ("testbed resolve outside-names client shop.example.test", "from outside, by dns.outside"),
    ),
    "trace": (
        ("testbed trace quickstart client-0 web", "name, rules, addresses, every hop, and back"),
        ("testbed trace quickstart client n1:30080", "from outside to a node port"),
        (
            "testbed trace --rules node.save --from 10.244.1.2 --to 10.96.0.10:53 --udp",
            "what a real node's rules would do, without a lab",
        ),
    ),
    "capture": (
        ("testbed capture quickstart web-0 tcp port 8080", "a pod's packets, line by line"),
        (
            "testbed capture quickstart all -w all.pcapng --duration 10s",
            "everybody's, for Wireshark",
        ),
    ),
    "fault": (
        ("testbed fault quickstart crash web-1", "its process dies and is restarted"),
        ("testbed fault quickstart hang web-1", "handshakes complete, nothing answers"),
        ("testbed fault quickstart heal web-1", "and it goes on"),
        ("testbed fault quickstart stop-node n2", "a machine without power: silence"),
        ("testbed fault quickstart heal n2", "it boots anew"),
        ("testbed fault quickstart delay-watch n2 --delay 3s", "a node that hears of changes late"),
        ("testbed fault quickstart cut n2", "all links of a machine; heal n2 joins them again"),
        ("testbed fault quickstart impair n1 switch --rate 10mbit --queue 50", "a slow link"),
        ("testbed fault quickstart partition n1,switch n2", "sides; the control plane is n1's"),
        ("testbed fault quickstart heal partition", "and one network again"),
    ),
    "load": (
        (
            "testbed load quickstart --from client-0 --to http://web/hostname --rate 500 --duration 3s",
            "a new connection for each request, at random instants",
        ),
        (
            "testbed load quickstart --from client --to tcp://192.168.0.11:30080 --rate 50 --reuse 10",
            "from outside to a node port, ten requests on each connection",
        ),
    ),
    "run": (
        ("testbed run balance failover --profile smoke", "two experiments, quickly"),
        ("testbed run modes --plan", "how many trials, how long, and what they can show"),
        ("testbed run balance --set replicas=2,5 --until ci=5%", "until the intervals are narrow"),
        ("testbed run --resume 20260101T000000Z-1", "go on where it was interrupted"),
        ("testbed run modes --executor dask://10.0.0.1:8786", "on the workers of a scheduler"),
    ),
    "graph": (
        ("testbed graph topologies/quickstart.yaml -w quickstart.svg", "before it is started"),
        ("testbed graph quickstart --view services -f mermaid", "a lab's services, as text"),
    ),
    "watch": (
        ("testbed watch quickstart", "on the terminal; q ends it"),
        ("testbed watch quickstart --web", "as a page on a loopback port"),
    ),
    "kernel": (
        ("testbed kernel ls", "which there are, and what each can do"),
        ("testbed kernel build", "one that has every mode, from the distribution's source"),
    ),
    "report": (("testbed report results/sample/failover/20261121T050302Z-1", "its page again"),),
    "compare": (
        ("testbed compare RUN-A RUN-B", "what really differs"),
        ("testbed compare RUN-A RUN-B --fail-worse recover_ms=200", "a gate: 1 when it is worse"),
    ),
    "artifact": (
        ("testbed artifact results/sample/failover/20261121T050302Z-1 -w bundle.tar.gz", "pack it"),
        ("testbed artifact 20261121T050302Z-1", "a run under ./results, by its name"),
    ),
    "completion": (
        ("source <(testbed completion bash)", "now; in ~/.bashrc for good"),
        ("testbed completion zsh > ~/.zfunc/_testbed", "a folder that fpath names"),
        ("testbed completion fish > ~/.config/fish/completions/testbed.fish", "for good"),
    ),
}
"""Command -> (line, what it does), the plainest first."""


def epilog(command: str) -> str:
    """The end of `testbed COMMAND --help`; "" for a command without examples."""
    rows = EXAMPLES.get(command, ())
    lines = [f"  {line}" + (f"\n      {text}" if text else "") for line, text in rows]
    return "examples:\n" + "\n".join(lines) if lines else ""
