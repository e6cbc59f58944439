// Which names and passwords a pod has for a registry: the kubelet's rules for Secrets with Docker configurations
// (credentialprovider/keyring.go). Knows no Assignment; starts nothing, and nothing here is ever logged.

import ClusterProto

/// A name and a password for one registry.
package struct RegistryCredential: Hashable, Sendable {
  /// Who asks.
  package var user: String
  /// The proof.
  package var password: String

  /// Takes both as they stand.
  package init(user: String, password: String) {
    self.user = user
    self.password = password
  }

  /// A Docker configuration that has this credential for exactly that registry: what a fetcher is given as its file of
  /// credentials, so that it needs no rules of its own.
  package func authFile(registry: String) -> String {
    let auth = Base64.encode(Array("\(user):\(password)".utf8))
    return (["auths": [registry: ["auth": .string(auth)]]] as JSON).text
  }
}

/// The credentials of a pod's Secrets.
package struct RegistryKeyring: Equatable, Sendable {
  private struct Entry: Equatable {
    /// Host and path of the registry, without a scheme: `*.example.com:5000/team`.
    var place: String
    var credential: RegistryCredential
  }

  private var entries: [Entry] = []
  /// Entries of one keyring that are read; a Secret has at most 1 MiB.
  private static let limit = 1_000
  private static let dockerHub = "index.docker.io"

  /// Without any.
  package init() {}

  /// Takes the `data` of Secrets in the pod's order: what they hold under `.dockerconfigjson` or `.dockercfg`. What
  /// cannot be read is left out, as an unreadable Secret is by the kubelet.
  package init(secrets: [StringMap]) {
    for data in secrets {
      if let text = data[".dockerconfigjson"], let json = Self.parsed(text) {
        take(json["auths"])
      } else if let text = data[".dockercfg"], let json = Self.parsed(text) {
        take(json)
      }
    }
    // The most special place first, as the kubelet orders them; of one place the Secrets' order stays.
    entries = entries.enumerated().sorted {
      $0.element.place == $1.element.place ? $0.offset < $1.offset : $0.element.place > $1.element.place
    }.map(\.element)
  }

  /// What may be tried for an image, in this order; empty: nobody need say who asks.
  package func credentials(for reference: ImageReference) -> [RegistryCredential] {
    var found = entries.filter { Self.matches($0.place, reference.name) }.map(\.credential)
    if found.isEmpty, reference.registry == "docker.io" {
      found = entries.filter { $0.place == Self.dockerHub }.map(\.credential)
    }
    var seen: Set<RegistryCredential> = []
    return found.filter { seen.insert($0).inserted }
  }

  private static func parsed(_ base64: String) -> JSON? {
    guard let bytes = Base64.decode(base64) else { return nil }
    return try? JSON(parsing: bytes)
  }

  private mutating func take(_ auths: JSON?) {
    for (place, entry) in auths?.objectValue ?? JSONObject() where entries.count < Self.limit {
      guard let credential = Self.credential(entry) else { continue }
      entries.append(Entry(place: Self.place(place), credential: credential))
    }
  }

  /// `auth` is base64 of `user:password`, with or without its padding, and wins over the two written out.
  private static func credential(_ entry: JSON) -> RegistryCredential? {
    if let auth = entry["auth"]?.stringValue, !auth.isEmpty {
      let padding = String(repeating: "=", count: (4 - auth.utf8.count % 4) % 4)
      guard let bytes = Base64.decode(auth) ?? Base64.decode(auth + padding),
        let text = String(validating: bytes, as: UTF8.self)
      else { return nil }
      let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      return RegistryCredential(user: String(parts[0]), password: String(parts[1]))
    }
    guard let user = entry["username"]?.stringValue, !user.isEmpty else { return nil }
    return RegistryCredential(user: user, password: entry["password"]?.stringValue ?? "")
  }

  /// Host and path: without a scheme, without the version that old configurations name, without a slash at the end.
  private static func place(_ text: String) -> String {
    var rest = Substring(text)
    for scheme in ["https://", "http://"] where rest.hasPrefix(scheme) { rest = rest.dropFirst(scheme.count) }
    let host = rest.prefix { $0 != "/" }
    var path = rest.dropFirst(host.count)
    for version in ["/v1/", "/v2/"] where path.hasPrefix(version) { path = path.dropFirst(3) }
    return path == "/" ? String(host) : String(host + path)
  }

  /// Whether a place, whose host may hold `*` and `?` between its dots, covers an image's name.
  private static func matches(_ place: String, _ name: String) -> Bool {
    let (placeHost, placePath) = split(place)
    let (nameHost, namePath) = split(name)
    guard namePath.hasPrefix(placePath) else { return false }
    let (placeName, placePort) = port(placeHost)
    let (hostName, hostPort) = port(nameHost)
    let labels = placeName.split(separator: ".", omittingEmptySubsequences: false)
    let parts = hostName.split(separator: ".", omittingEmptySubsequences: false)
    return placePort == hostPort && labels.count == parts.count
      && zip(labels, parts).allSatisfy { covers(Array($0.utf8)[...], Array($1.utf8)[...]) }
  }

  private static func split(_ text: String) -> (host: Substring, path: Substring) {
    let host = text.prefix { $0 != "/" }
    return (host, text[host.endIndex...])
  }

  private static func port(_ host: Substring) -> (name: Substring, port: Substring) {
    guard let colon = host.lastIndex(of: ":"), host.last != "]" else { return (host, "") }
    return (host[..<colon], host[host.index(after: colon)...])
  }

  /// A pattern against a text: the last star takes what is left over, so it costs at most their product.
  private static func covers(_ pattern: ArraySlice<UInt8>, _ text: ArraySlice<UInt8>) -> Bool {
    var (pattern, text) = (pattern, text)
    var back: (pattern: ArraySlice<UInt8>, text: ArraySlice<UInt8>)?
    while !text.isEmpty {
      if pattern.first == UInt8(ascii: "*") {
        pattern = pattern.dropFirst()
        back = (pattern, text)
      } else if let next = pattern.first, next == UInt8(ascii: "?") || next == text.first {
        pattern = pattern.dropFirst()
        text = text.dropFirst()
      } else if let last = back {
        (pattern, text) = (last.pattern, last.text.dropFirst())
        back = (pattern, text)
      } else {
        return false
      }
    }
    return pattern.allSatisfy { $0 == UInt8(ascii: "*") }
  }
}
