"""A fat tree as a Mininet Topo (Al-Fares and others, SIGCOMM 2008): `mn --custom fat_tree.py` knows it, too."""

from mininet.topo import Topo


class FatTree(Topo):
    """k pods: in each k/2 aggregation and k/2 edge switches, at each edge k/2 hosts; (k/2)² core switches."""

    def build(self, k=4):
        half = k // 2
        cores = [self.addSwitch(f"c{number + 1}") for number in range(half * half)]
        host = 0
        for pod in range(1, k + 1):
            edges = [self.addSwitch(f"e{pod}x{number + 1}") for number in range(half)]
            for group in range(half):
                aggregation = self.addSwitch(f"a{pod}x{group + 1}")
                for core in cores[group * half : (group + 1) * half]:
                    self.addLink(aggregation, core)
                for edge in edges:
                    self.addLink(edge, aggregation)
            for edge in edges:
                for _ in range(half):
                    host += 1
                    self.addLink(self.addHost(f"h{host}"), edge)


topos = {"fattree": FatTree}
