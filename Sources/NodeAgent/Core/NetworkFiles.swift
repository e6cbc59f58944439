// The files that kubelet writes for each pod and mounts over the image's: /etc/hosts, /etc/hostname and
// /etc/resolv.conf. Texts only; the host writes and mounts them.

import ClusterProto

/// The three files of one pod.
package enum NetworkFiles {
  /// Below the pod's own directory.
  package static let directory = "etc"
  /// Their names there and below /etc.
  package static let names = ["hosts", "hostname", "resolv.conf"]

  /// What a kubelet calls its cluster unless it is told otherwise.
  private static let clusterDomain = "cluster.local"

  /// Each file's text. `resolver`: the node's own /etc/resolv.conf.
  package static func texts(_ assignment: Assignment, address: String, resolver: String) -> [String: String] {
    let hostname = PodPlanner.hostname(assignment)
    return [
      "hosts": hosts(assignment, hostname: hostname, address: address), "hostname": hostname + "\n",
      "resolv.conf": resolv(assignment.spec, resolver: resolver),
    ]
  }

  private static func hosts(_ assignment: Assignment, hostname: String, address: String) -> String {
    let spec = assignment.spec
    let subdomain = spec.json["subdomain"]?.stringValue ?? ""
    let full = subdomain.isEmpty ? "" : "\(hostname).\(subdomain).\(assignment.namespace).svc.\(clusterDomain)\t"
    var lines = [
      "# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
      "fe00::0\tip6-localnet", "fe00::0\tip6-mcastprefix", "fe00::1\tip6-allnodes", "fe00::2\tip6-allrouters",
    ]
    if !address.isEmpty { lines.append("\(address)\t\(full)\(hostname)") }
    let aliases = spec.json["hostAliases"]?.arrayValue ?? []
    if !aliases.isEmpty { lines += ["", "# Entries added by HostAliases."] }
    for alias in aliases {
      let names = (alias["hostnames"]?.arrayValue ?? []).compactMap(\.stringValue)
      lines.append("\(alias["ip"]?.stringValue ?? "")\t\(names.joined(separator: "\t"))")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// The node's, under what `dnsConfig` adds; with `dnsPolicy: None` that alone. There is no cluster DNS:
  /// `ClusterFirst` means the node's, as for a kubelet without one.
  private static func resolv(_ spec: PodSpec, resolver: String) -> String {
    let config = spec.json["dnsConfig"]
    guard config != nil || spec.json["dnsPolicy"]?.stringValue == "None" else { return resolver }
    func strings(_ name: String) -> [String] { (config?[name]?.arrayValue ?? []).compactMap(\.stringValue) }
    var servers: [String] = []
    var searches: [String] = []
    var options: [String] = []
    if spec.json["dnsPolicy"]?.stringValue != "None" {
      for line in resolver.split(separator: "\n") {
        let words = line.split(separator: " ").map(String.init)
        switch words.first {
        case "nameserver": servers += words.dropFirst()
        case "search": searches = Array(words.dropFirst())
        case "options": options = Array(words.dropFirst())
        default: break
        }
      }
    }
    servers += strings("nameservers").filter { !servers.contains($0) }
    searches += strings("searches").filter { !searches.contains($0) }
    for option in config?["options"]?.arrayValue ?? [] {
      guard let name = option["name"]?.stringValue else { continue }
      options.removeAll { $0 == name || $0.hasPrefix(name + ":") }
      options.append(option["value"]?.stringValue.map { "\(name):\($0)" } ?? name)
    }
    var lines: [String] = []
    if !searches.isEmpty { lines.append("search " + searches.joined(separator: " ")) }
    lines += servers.map { "nameserver \($0)" }
    if !options.isEmpty { lines.append("options " + options.joined(separator: " ")) }
    return lines.joined(separator: "\n") + "\n"
  }
}
