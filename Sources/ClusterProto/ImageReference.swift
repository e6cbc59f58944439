// What a container's `image` names: registry, repository, tag and digest, read and completed as Docker and
// containers/image do it (github.com/distribution/reference, `ParseNormalizedNamed`), with the kubelet's words for what
// cannot be read. Knows no registry, no credentials and no image.

/// When a container's image is fetched.
package enum ImagePullPolicy: String, Sendable {
  case always = "Always", ifNotPresent = "IfNotPresent", never = "Never"
}

/// A name that images are fetched and found by, complete: `docker.io/library/busybox:latest` for `busybox`.
package struct ImageReference: Hashable, Sendable {
  /// Why a text names no image.
  package struct Invalid: Error, Equatable {
    /// As the kubelet goes on after `couldn't parse image name "X": `.
    package var reason: String
  }

  /// Host of the registry, with its port where it has one.
  package let registry: String
  /// What the registry knows it by: `library/busybox`.
  package let repository: String
  /// The tag; nil only beside a digest.
  package let tag: String?
  /// `sha256:…`; with one the tag is only for people.
  package let digest: String?

  /// The one word that is no image: containers of it run the host's programs, whatever a node does with images.
  package static let host = "host"
  private static let dockerHub = "docker.io"
  private static let latest = "latest"
  /// Bytes of registry and repository together, with the slash between them.
  private static let longestName = 255

  /// Whether an `image` asks for the host's programs. Only the bare word does: `host:1` and `docker.io/library/host`
  /// are images.
  package static func isHost(_ image: String) -> Bool { image == host }

  /// Kubernetes' default: `Always` for the tag `latest`, written or understood; else, and for what cannot be read,
  /// `IfNotPresent`.
  package static func defaultPolicy(of image: String) -> ImagePullPolicy {
    guard let reference = try? ImageReference(image) else { return .ifNotPresent }
    return reference.tag == latest ? .always : .ifNotPresent
  }

  /// The kubelet's message for an `image` that cannot be read (waiting reason `InvalidImageName`, event
  /// `InspectFailed`).
  package static func invalidMessage(_ image: String, _ problem: Invalid) -> String {
    let name = quoted(image)
    return "Failed to apply default image tag \(name): couldn't parse image name \(name): \(problem.reason)"
  }

  /// Reads an `image` as it stands in a manifest.
  package init(_ text: String) throws(Invalid) {
    let bytes = Array(text.utf8)
    // What looks like an id is not taken for a repository's name.
    if bytes.count == 64, bytes.allSatisfy(Self.isLowerHex) {
      throw Invalid(reason: "invalid repository name (\(text)), cannot specify 64-byte hexadecimal strings")
    }
    let (registry, rest) = Self.split(bytes[...])
    let remote = rest.prefix { $0 != UInt8(ascii: ":") }
    if remote.contains(where: { (0x41...0x5A).contains($0) }) {
      let name = String(decoding: remote, as: UTF8.self)
      throw Invalid(reason: "invalid reference format: repository name (\(name)) must be lowercase")
    }
    guard Self.isHostName(registry), let parts = Self.parts(rest) else {
      throw Invalid(reason: "invalid reference format")
    }
    if registry.count + 1 + parts.repository.count > Self.longestName {
      throw Invalid(reason: "repository name must not be more than \(Self.longestName) characters")
    }
    if let digest = parts.digest, let problem = Self.problem(ofDigest: digest) { throw Invalid(reason: problem) }
    self.registry = String(decoding: registry, as: UTF8.self)
    repository = String(decoding: parts.repository, as: UTF8.self)
    digest = parts.digest.map { String(decoding: $0, as: UTF8.self) }
    let tag = parts.tag.map { String(decoding: $0, as: UTF8.self) }
    self.tag = tag == nil && digest == nil ? Self.latest : tag
  }

  /// Registry and repository.
  package var name: String { "\(registry)/\(repository)" }

  /// What it is fetched and found by: the name with the digest, or else with the tag.
  package var text: String {
    if let digest { return "\(name)@\(digest)" }
    return "\(name):\(tag ?? Self.latest)"
  }

  /// A text in Go's quotes, as far as an image's name needs them.
  private static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { result.append("\\") }
      result.unicodeScalars.append(scalar)
    }
    return result + "\""
  }
}

// MARK: - The grammar

extension ImageReference {
  private typealias Bytes = ArraySlice<UInt8>

  /// Docker's rule of what is a registry: up to the first slash, when it has a dot, a colon or an upper case letter, or
  /// is `localhost`. Else it is Docker Hub, where what has no other owner is `library`'s.
  private static func split(_ text: Bytes) -> (registry: Bytes, rest: Bytes) {
    var (registry, rest) = (Array(dockerHub.utf8)[...], text)
    if let slash = text.firstIndex(of: UInt8(ascii: "/")) {
      let first = text[..<slash]
      let isHost =
        first.contains { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: ":") || (0x41...0x5A).contains($0) }
        || first.elementsEqual("localhost".utf8)
      if isHost { (registry, rest) = (first, text[(slash + 1)...]) }
    }
    if registry.elementsEqual("index.docker.io".utf8) { registry = Array(dockerHub.utf8)[...] }
    if registry.elementsEqual(dockerHub.utf8), !rest.contains(UInt8(ascii: "/")) {
      rest = (Array("library/".utf8) + rest)[...]
    }
    return (registry, rest)
  }

  /// Repository, tag and digest; nil: it is not of that form.
  private static func parts(_ text: Bytes) -> (repository: Bytes, tag: Bytes?, digest: Bytes?)? {
    var (rest, tag, digest): (Bytes, Bytes?, Bytes?) = (text, nil, nil)
    if let at = rest.firstIndex(of: UInt8(ascii: "@")) {
      digest = rest[(at + 1)...]
      rest = rest[..<at]
    }
    if let colon = rest.firstIndex(of: UInt8(ascii: ":")) {
      tag = rest[(colon + 1)...]
      rest = rest[..<colon]
    }
    if let tag, !isTag(tag) { return nil }
    if let digest, !isDigest(digest) { return nil }
    let components = rest.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    guard components.allSatisfy(isComponent) else { return nil }
    return (rest, tag, digest)
  }

  /// Lower case letters and digits, with one dot, one or two underscores or any number of dashes between them.
  private static func isComponent(_ text: Bytes) -> Bool {
    guard let first = text.first, let last = text.last, isLowerAlphanumeric(first), isLowerAlphanumeric(last) else {
      return false
    }
    var separator: [UInt8] = []
    for byte in text {
      if isLowerAlphanumeric(byte) {
        let isDashes = separator.allSatisfy { $0 == UInt8(ascii: "-") }
        guard isDashes || [".", "_", "__"].contains(String(decoding: separator, as: UTF8.self)) else { return false }
        separator = []
      } else {
        guard byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: "-") else { return false }
        separator.append(byte)
      }
    }
    return true
  }

  /// Labels with dots between them, or an IPv6 address in brackets; a port may follow.
  private static func isHostName(_ text: Bytes) -> Bool {
    var name = text
    if let colon = text.lastIndex(of: UInt8(ascii: ":")), text.last != UInt8(ascii: "]") {
      let port = text[(colon + 1)...]
      guard !port.isEmpty, port.allSatisfy(isDigit) else { return false }
      name = text[..<colon]
    }
    if name.first == UInt8(ascii: "["), name.last == UInt8(ascii: "]") {
      let address = name.dropFirst().dropLast()
      return !address.isEmpty && address.allSatisfy { isHex($0) || $0 == UInt8(ascii: ":") }
    }
    return name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
      guard let first = label.first, let last = label.last else { return false }
      return isAlphanumeric(first) && isAlphanumeric(last)
        && label.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
    }
  }

  private static func isTag(_ text: Bytes) -> Bool {
    func isWord(_ byte: UInt8) -> Bool { isAlphanumeric(byte) || byte == UInt8(ascii: "_") }
    guard let first = text.first, text.count <= 128, isWord(first) else { return false }
    return text.allSatisfy { isWord($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-") }
  }

  /// An algorithm's name, a colon, 32 hexadecimal digits at least.
  private static func isDigest(_ text: Bytes) -> Bool {
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return false }
    let digits = text[(colon + 1)...]
    let names = text[..<colon].split(omittingEmptySubsequences: false) { "-_+.".utf8.contains($0) }
    return digits.count >= 32 && digits.allSatisfy(isHex)
      && names.allSatisfy { name in
        name.first.map { isAlphanumeric($0) && !isDigit($0) } == true && name.allSatisfy(isAlphanumeric)
      }
  }

  /// What is wrong with a digest that has the form of one.
  private static func problem(ofDigest text: Bytes) -> String? {
    guard let colon = text.firstIndex(of: UInt8(ascii: ":")) else { return "invalid reference format" }
    let digits = text[(colon + 1)...]
    let lengths = ["sha256": 64, "sha384": 96, "sha512": 128]
    guard let length = lengths[String(decoding: text[..<colon], as: UTF8.self)] else {
      return "unsupported digest algorithm"
    }
    if digits.count != length { return "invalid checksum digest length" }
    return digits.allSatisfy(isLowerHex) ? nil : "invalid checksum digest format"
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
  private static func isLowerAlphanumeric(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x7A).contains(byte) }
  private static func isAlphanumeric(_ byte: UInt8) -> Bool {
    isLowerAlphanumeric(byte) || (0x41...0x5A).contains(byte)
  }
  private static func isLowerHex(_ byte: UInt8) -> Bool { isDigit(byte) || (0x61...0x66).contains(byte) }
  private static func isHex(_ byte: UInt8) -> Bool { isLowerHex(byte) || (0x41...0x46).contains(byte) }
}
