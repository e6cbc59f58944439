// Owns: what is said about the exchange of the cluster's authority: by an administrator, answered as a request is, and
// to agents over their sessions. It must not know how authorities are made or who still holds what.

/// Administrator → coordinator, about the cluster's authority.
package enum AuthorityRequest: Equatable, Sendable {
  /// Make another authority and begin to move everybody over to it.
  case rotate
  /// How far that is. `after`: answer once the revision is another than this one.
  case status(after: Int64?)
  /// Believe the former authority no more, whoever still holds a certificate of it.
  case drop

  /// The request's JSON.
  package var json: JSON {
    switch self {
    case .rotate: return ["do": "rotate"]
    case .status(let after):
      var json: JSON = ["do": "status"]
      json["after"] = after.map { .int($0) }
      return json
    case .drop: return ["do": "drop"]
    }
  }

  /// Reads an administrator's request.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "authority.request")
    switch try reader.string("do") {
    case "rotate": self = .rotate
    case "status": self = .status(after: try reader.optionalInteger("after"))
    case "drop": self = .drop
    case let other: throw MessageError("authority.request.do: unknown value \(other.prefix(64))")
    }
  }
}

/// Coordinator → agent, over its session: whom the cluster believes now. An agent that believes others, or whose
/// certificate another one has signed than the first, asks for the next one at a random time within the milliseconds.
package struct AuthorityNotice: Equatable, Sendable {
  /// Digests of the authorities' public keys, the one that signs first.
  package var authorities: [String]
  /// Within what time to ask.
  package var withinMilliseconds: Int64

  /// Takes each value as it stands.
  package init(authorities: [String], withinMilliseconds: Int64) {
    self.authorities = authorities
    self.withinMilliseconds = withinMilliseconds
  }

  private static let mostAuthorities = 8

  /// The message's JSON.
  package var json: JSON {
    [
      "type": "authorities", "authorities": .array(authorities.map { .string($0) }),
      "withinMilliseconds": .int(withinMilliseconds),
    ]
  }

  /// nil: a message of another type.
  package init?(json: JSON) throws(MessageError) {
    guard json["type"] == "authorities" else { return nil }
    let reader = try MessageReader(json, "authorities")
    let digests = (json["authorities"]?.arrayValue ?? []).compactMap(\.stringValue)
    guard (1...Self.mostAuthorities).contains(digests.count) else {
      throw MessageError("authorities.authorities: not 1 to \(Self.mostAuthorities) strings")
    }
    self.init(
      authorities: digests, withinMilliseconds: max(0, try reader.integer("withinMilliseconds")))
  }
}
