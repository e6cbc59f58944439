// Owns: how a coordinator tells its agents by which addresses it can be reached, so that they find it when it moves. It
// must not know which addresses those are, nor what an agent keeps of them.

/// Coordinator → agent, over its session, once it has registered and whenever they are others.
package struct CoordinatorsNotice: Equatable, Sendable {
  /// Each `HOST:PORT` or `[V6]:PORT`, the best first.
  package var addresses: [String]

  /// Takes the value as it stands.
  package init(addresses: [String]) { self.addresses = addresses }

  /// In one message, and kept of all.
  package static let most = 8
  /// A name of the DNS with its port.
  package static let longest = 260

  /// The message's JSON.
  package var json: JSON { ["type": "coordinators", "addresses": .array(addresses.map { .string($0) })] }

  /// nil: a message of another type.
  package init?(json: JSON) throws(MessageError) {
    guard json["type"] == "coordinators" else { return nil }
    let given = json["addresses"]?.arrayValue ?? []
    let texts = given.compactMap(\.stringValue).filter { $0.utf8.count <= Self.longest }
    guard (1...Self.most).contains(given.count), texts.count == given.count else {
      throw MessageError("coordinators.addresses: not 1 to \(Self.most) short strings")
    }
    addresses = texts
  }
}
