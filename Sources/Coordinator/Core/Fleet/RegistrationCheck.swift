// What a registration may say of a node: what the API would take for a Node. Knows no sessions and no records; who may
// bear a name is Registration's.

import ClusterProto

extension Registration {
  private static let labelLimit = 256
  private static let conditionLimit = 64
  private static let infoBytes = 16 * 1024
  private static let infoValueBytes = 1_024
  private static let reasonBytes = 1_024
  private static let messageBytes = 32_768

  /// What is wrong with it, to be read after the node's name; nil when it may be a Node.
  var impossible: String? {
    let amounts = [
      ("cpuMillicores", capacity.cpuMillicores), ("memoryBytes", capacity.memoryBytes), ("pods", capacity.pods),
      ("storageBytes", capacity.storageBytes ?? 0),
    ]
    for (name, amount) in amounts where amount < 0 {
      return "offers capacity.\(name) \(amount): \(JobValidation.notNegative)"
    }
    if labels.count > Self.labelLimit { return "has \(labels.count) labels: at most \(Self.labelLimit) are taken" }
    let hostname = labels["kubernetes.io/hostname"] ?? node
    if hostname != node { return "has the label kubernetes.io/hostname of another node: \(Excerpt.of(hostname))" }
    for label in labels {
      if let error = Names.labelKeyErrors(label.key).first { return "has the label \(label.key): \(error)" }
      if let error = Names.labelValueErrors(label.value).first { return "has the label \(label.key): \(error)" }
    }
    if conditions.count > Self.conditionLimit {
      return "has \(conditions.count) conditions: at most \(Self.conditionLimit) are taken"
    }
    return conditionProblem ?? addressProblem ?? infoProblem
  }

  private var conditionProblem: String? {
    for condition in conditions {
      let type = Excerpt.of(condition.type)
      if let error = Names.labelKeyErrors(condition.type).first { return "has the condition \(type): \(error)" }
      if !["True", "False", "Unknown"].contains(condition.status) {
        return
          "has the condition \(type) with the status \(Excerpt.of(condition.status)): must be True, False or Unknown"
      }
      if condition.reason.utf8.count > Self.reasonBytes || condition.message.utf8.count > Self.messageBytes {
        return "has the condition \(type) with a reason over \(Self.reasonBytes) or a message over "
          + "\(Self.messageBytes) bytes"
      }
    }
    return nil
  }

  /// A host name, or an address: both are shown, and clients connect to what they are shown.
  private var addressProblem: String? {
    if address.isEmpty || Names.subdomainErrors(address.lowercased()).isEmpty { return nil }
    let isIPv6 =
      address.utf8.count <= 64 && address.utf8.contains(0x3A)
      && address.unicodeScalars.allSatisfy { $0.properties.isASCIIHexDigit || [":", ".", "%"].contains($0) }
    return isIPv6 ? nil : "has the address \(Excerpt.of(address)): it is neither an IP address nor a host name"
  }

  private var infoProblem: String? {
    guard info.extent(upTo: Self.infoBytes).bytes <= Self.infoBytes else {
      return "has info of more than \(Self.infoBytes) bytes"
    }
    for (key, value) in info.objectValue ?? JSONObject()
    where (value.stringValue?.utf8.count ?? Int.max) > Self.infoValueBytes {
      return "has info.\(Excerpt.of(key)), which is no string of at most \(Self.infoValueBytes) bytes"
    }
    return nil
  }

  /// For the label kubernetes.io/arch. An agent that does not say it is one of the time when all were amd64.
  var architecture: String {
    guard let name = info["architecture"]?.stringValue, !name.isEmpty, Names.labelValueErrors(name).isEmpty else {
      return "amd64"
    }
    return name
  }
}
