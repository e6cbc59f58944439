// The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf of a pod of images.

import ClusterProto
import Testing

@testable import AgentCore

@Suite("files that tell a pod of its network") struct NetworkFilesTests {
  private func texts(_ spec: JSON, resolver: String = "nameserver 1.1.1.1\n") -> [String: String] {
    NetworkFiles.texts(assignment(1, spec: PodSpec(json: spec)), address: "10.0.0.5", resolver: resolver)
  }

  @Test("/etc/hosts has the usual lines, the pod's own and its aliases") func hosts() {
    let plain = texts(["hostname": "w"])["hosts"] ?? ""
    #expect(plain.hasPrefix("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"))
    #expect(plain.hasSuffix("10.0.0.5\tw\n"))
    let aliased =
      texts(["hostname": "w", "hostAliases": [["ip": "1.2.3.4", "hostnames": ["a", "b"]]]])["hosts"] ?? ""
    #expect(aliased.hasSuffix("10.0.0.5\tw\n\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"))
  }

  @Test("with a subdomain the pod's full name goes before its own, as a kubelet writes it") func subdomain() {
    let line = "10.0.0.5\tw.ranks.ns.svc.cluster.local\tw\n"
    #expect((texts(["hostname": "w", "subdomain": "ranks"])["hosts"] ?? "").hasSuffix(line))
    #expect(texts(["hostname": "w", "subdomain": "ranks"])["hostname"] == "w\n")
  }

  @Test("resolv.conf is the node's, with what dnsConfig adds, or that alone with dnsPolicy None") func resolver() {
    let own = "search node.local\nnameserver 1.1.1.1\noptions ndots:1 edns0\n"
    #expect(texts([:], resolver: own)["resolv.conf"] == own)
    let config: JSON = [
      "nameservers": ["9.9.9.9", "1.1.1.1"], "searches": ["x.y"],
      "options": [["name": "ndots", "value": "5"], ["name": "rotate"]],
    ]
    #expect(
      texts(["dnsConfig": config], resolver: own)["resolv.conf"]
        == "search node.local x.y\nnameserver 1.1.1.1\nnameserver 9.9.9.9\noptions edns0 ndots:5 rotate\n")
    #expect(
      texts(["dnsPolicy": "None", "dnsConfig": config], resolver: own)["resolv.conf"]
        == "search x.y\nnameserver 9.9.9.9\nnameserver 1.1.1.1\noptions ndots:5 rotate\n")
    #expect(texts(["dnsPolicy": "None"], resolver: own)["resolv.conf"] == "\n")
  }
}
