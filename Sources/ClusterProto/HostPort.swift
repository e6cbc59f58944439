// Ports of its node that a pod wants for itself alone, counted as an extended resource is: whoever keeps room keeps
// them too. Data; where a pod goes is the scheduler's.

/// One port of a node.
package struct HostPort: Hashable, Sendable {
  private static let prefix = "hostport/"
  /// More than any number of single addresses that pods of a node could name.
  private static let all: Int64 = 1 << 31

  /// TCP, UDP or SCTP.
  let transport: String
  let number: Int64
  /// Empty: every address of the node.
  let address: String

  /// Nil: none is wanted. A pod of the node's network wants what its containers listen on, as in Kubernetes.
  init?(json: JSON, isOfNode: Bool) {
    let given = json["hostPort"]?.intValue ?? 0
    let number = given == 0 && isOfNode ? json["containerPort"]?.intValue ?? 0 : given
    guard number > 0 else { return nil }
    self.number = number
    transport = json["protocol"]?.stringValue ?? "TCP"
    let host = json["hostIP"]?.stringValue ?? ""
    address = host == "0.0.0.0" ? "" : host
  }

  /// What it takes. A port at every address takes all there is of it, one at a single address a little, and that
  /// address: so the former goes beside nobody, the latter beside those of other addresses.
  var amounts: [ResourceAmount] {
    let name = "\(Self.prefix)\(transport)/\(number)"
    if address.isEmpty { return [ResourceAmount(name: name, amount: Self.all)] }
    return [ResourceAmount(name: name, amount: 1), ResourceAmount(name: "\(name)/\(address)", amount: 1)]
  }

  /// How much each node has of something that is a port; nil: it is none. No resource of anybody's has two slashes.
  package static func capacity(_ resource: String) -> Int64? {
    guard resource.hasPrefix(prefix) else { return nil }
    switch resource.utf8.count(where: { $0 == 0x2F }) {
    case 2: return all
    case 3: return 1
    default: return nil
    }
  }

  /// What the ports of a pod's containers and sidecars take, sorted; each once, whoever of them names it.
  static func amounts(ofSpec spec: JSON) -> [ResourceAmount] {
    let isOfNode = spec["hostNetwork"]?.boolValue ?? false
    let sidecars = (spec["initContainers"]?.arrayValue ?? []).filter { $0["restartPolicy"]?.stringValue == "Always" }
    var sums: [String: Int64] = [:]
    for container in (spec["containers"]?.arrayValue ?? []) + sidecars {
      for json in container["ports"]?.arrayValue ?? [] {
        for amount in HostPort(json: json, isOfNode: isOfNode)?.amounts ?? [] {
          sums[amount.name] = max(sums[amount.name] ?? 0, amount.amount)
        }
      }
    }
    return sums.keys.sorted().map { ResourceAmount(name: $0, amount: sums[$0] ?? 0) }
  }
}
