// Owns: what the coordinator says of the volume behind a claim, as it stands in an assignment's references. Reads only,
// and takes no name that leads elsewhere. It must not know directories or mounts.

import ClusterProto

/// Where the files of a claim are.
package enum ClaimSource: Equatable, Sendable {
  /// A directory of the node's own, by its volume's name; `isNew`: no pod has run with it yet, so it may be made.
  case stored(volume: String, isNew: Bool)
  /// A path of the host, with its hostPath type.
  case hostPath(path: String, type: String)
  /// A share of NFS.
  case share(NetworkShare)

  /// Of a volume of the pod; nil: the coordinator has said nothing that this version understands.
  package init?(_ assignment: Assignment, volume: String) {
    guard let json = assignment.references["volumes/\(volume)"], let name = json["volume"]?.stringValue else {
      return nil
    }
    // It becomes the name of a directory.
    guard Names.subdomainErrors(name).isEmpty else { return nil }
    if json["stored"]?.boolValue == true {
      self = .stored(volume: name, isNew: json["make"]?.boolValue ?? false)
    } else if let share = json["nfs"] {
      guard let found = NetworkShare(volume: name, share, options: json["options"]) else { return nil }
      self = .share(found)
    } else if let host = json["hostPath"], let path = host["path"]?.stringValue {
      self = .hostPath(path: path, type: host["type"]?.stringValue ?? "")
    } else {
      return nil
    }
  }
}

/// A share of NFS and how it is mounted.
package struct NetworkShare: Equatable, Sendable {
  /// The PersistentVolume's name.
  package var volume: String
  /// The server's name or address.
  package var server: String
  /// What it shares.
  package var path: String
  /// Options of the mount, in their order.
  package var options: [String]

  init?(volume: String, _ json: JSON, options: JSON?) {
    guard let server = json["server"]?.stringValue, let path = json["path"]?.stringValue,
      ShareText.serverProblem(server) == nil, ShareText.pathProblem(path) == nil
    else { return nil }
    self.volume = volume
    self.server = server
    self.path = path
    self.options = (options?.arrayValue ?? []).compactMap(\.stringValue)
    guard self.options.allSatisfy({ ShareText.optionProblem($0) == nil }) else { return nil }
    if json["readOnly"]?.boolValue == true { self.options.append("ro") }
  }

  /// As the mount program is told it; an address with colons stands in brackets.
  package var source: String { "\(server.contains(":") ? "[\(server)]" : server):\(path)" }
}
