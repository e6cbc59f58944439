// What an object costs to show or to write, as its row told when it was written: so a step has room for bytes and not
// only for objects. Only the large ones are remembered. Knows nothing of requests.

import ClusterProto

/// Units of work by object; whatever is not known costs one.
struct ObjectWeights: Sendable {
  /// Bytes of text that count as one object.
  static let unit = 8 * 1_024

  private var rows: [ObjectReference: Int] = [:]
  private var specs: [String: Int] = [:]

  static func units(_ bytes: Int) -> Int { 1 + bytes / unit }

  /// An object's row was written so long; nil: it has gone.
  mutating func note(_ reference: ObjectReference, bytes: Int?) {
    if let bytes, bytes >= Self.unit {
      rows[reference] = Self.units(bytes)
    } else if !rows.isEmpty {
      rows[reference] = nil
    }
  }

  /// The same of a pod spec that pods share.
  mutating func note(spec digest: String, bytes: Int?) {
    if let bytes, bytes >= Self.unit {
      specs[digest] = Self.units(bytes)
    } else if !specs.isEmpty {
      specs[digest] = nil
    }
  }

  func units(_ object: APIObject) -> Int {
    if rows.isEmpty, specs.isEmpty { return 1 }
    let own = rows[object.reference] ?? 1
    guard case .pod(let pod) = object else { return own }
    return own + (specs[pod.spec.digest] ?? 0)
  }
}

extension CoordinatorCore {
  /// What an event costs, in units of an everyday request: its own bytes, and those of the object that it is about.
  package func weight(of event: CoordinatorEvent) -> Int {
    guard case .request(_, let request) = event else { return 1 }
    var units = 1
    if let body = request.body {
      units += body.extent(upTo: Self.roundLimit * ObjectWeights.unit).bytes / ObjectWeights.unit
    }
    switch request.verb {
    case .get, .list, .watch, .log, .connect, .deletecollection: break
    case .create, .update, .patch, .delete:
      if let object = state[reference(request)] { units += weights.units(object) - 1 }
    }
    return units
  }

  /// What one object costs a reader in the form that is asked for.
  func cost(_ object: APIObject, _ request: APIRequest) -> Int {
    request.form == .table && request.options.includeObject == "None" ? 1 : weights.units(object)
  }
}
