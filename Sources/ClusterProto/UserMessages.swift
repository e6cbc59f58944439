// Owns: what an administrator says about users' certificates, and the JSON of it; answered as a request is. It must not
// know who may ask or how certificates are signed.

/// Administrator → coordinator, about users. Whoever asks for a certificate makes its key and keeps it.
package enum UserRequest: Equatable, Sendable {
  /// `request`: a signing request (PKCS #10, PEM), of which only the public key counts.
  case create(name: String, groups: [String], ttlSeconds: Int64, request: String)
  case list
  /// Ends what is open by all certificates of the name and refuses them from now on.
  case revoke(String)

  /// Groups that one certificate may name.
  package static let groupLimit = 32
  /// How long a certificate is valid unless somebody says otherwise.
  package static let usualSeconds: Int64 = 90 * 86_400

  /// The request's JSON.
  package var json: JSON {
    switch self {
    case .create(let name, let groups, let ttl, let request):
      return [
        "do": "create", "name": .string(name), "groups": .array(groups.map { .string($0) }), "ttlSeconds": .int(ttl),
        "request": .string(request),
      ]
    case .list: return ["do": "list"]
    case .revoke(let name): return ["do": "revoke", "name": .string(name)]
    }
  }

  /// Reads an administrator's request.
  package init(json: JSON) throws(MessageError) {
    let reader = try MessageReader(json, "users.request")
    switch try reader.string("do") {
    case "create":
      let groups = json["groups"]?.arrayValue ?? []
      guard groups.count <= Self.groupLimit, groups.allSatisfy({ $0.stringValue != nil }) else {
        throw MessageError("users.request.groups: not at most \(Self.groupLimit) strings")
      }
      let request = try reader.string("request")
      guard request.utf8.count <= JoinRequest.requestLimit else {
        throw MessageError("users.request.request: more than \(JoinRequest.requestLimit) bytes")
      }
      self = .create(
        name: try reader.string("name"), groups: groups.compactMap(\.stringValue),
        ttlSeconds: try reader.integer("ttlSeconds"), request: request)
    case "list": self = .list
    case "revoke": self = .revoke(try reader.string("name"))
    case let other: throw MessageError("users.request.do: unknown value \(other.prefix(64))")
    }
  }
}
