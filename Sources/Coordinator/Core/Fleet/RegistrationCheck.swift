// What a registration may say of a node: what the API would take for a Node. Knows no sessions and no records; who may
// bear a name is Registration's.

import ClusterProto

extension Registration {
  private static let labelLimit = 256
  private static let conditionLimit = 64

  /// What is wrong with it, to be read after the node's name; nil when it may be a Node.
  var impossible: String? {
    let amounts = [
      ("cpuMillicores", capacity.cpuMillicores), ("memoryBytes", capacity.memoryBytes), ("pods", capacity.pods),
    ]
    for (name, amount) in amounts where amount < 0 {
      return "offers capacity.\(name) \(amount): \(JobValidation.notNegative)"
    }
    if labels.count > Self.labelLimit { return "has \(labels.count) labels: at most \(Self.labelLimit) are taken" }
    for label in labels {
      if let error = Names.labelKeyErrors(label.key).first { return "has the label \(label.key): \(error)" }
      if let error = Names.labelValueErrors(label.value).first { return "has the label \(label.key): \(error)" }
    }
    if conditions.count > Self.conditionLimit {
      return "has \(conditions.count) conditions: at most \(Self.conditionLimit) are taken"
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
