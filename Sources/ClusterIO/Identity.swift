// Owns: an identity on disk: a certificate with its key, and the authority that it believes; and how the agent of a
// node is given one where the authority's own key is at hand. It must not know who may do what.

import ClusterProto
import Glibc

/// Who one is towards a cluster, and whom one believes there.
package struct Identity: Equatable, Sendable {
  /// One's own certificate and key.
  package var own: PEMIdentity
  /// The certificates of the cluster's authorities: one, or two while it is being exchanged.
  package var authority: [UInt8]

  /// Takes the two as they stand.
  package init(own: PEMIdentity, authority: [UInt8]) {
    self.own = own
    self.authority = authority
  }

  private static func files(_ directory: String) -> (own: String, authority: String) {
    ("\(directory)/identity.pem", "\(directory)/authority.pem")
  }

  /// Reads `DIRECTORY/identity.pem` (certificate, then key) and `DIRECTORY/authority.pem`. What is damaged is told with
  /// what to do.
  package init(directory: String) throws(IOError) {
    self.init(own: try Self.own(directory), authority: try Self.believed(directory))
  }

  /// The same; nil: nobody was given an identity there.
  package static func found(in directory: String) throws(IOError) -> Identity? {
    try isThere(directory) ? Identity(directory: directory) : nil
  }

  private static func isThere(_ directory: String) throws(IOError) -> Bool {
    do throws(IOError) {
      _ = try Files.status(files(directory).own, followLinks: false)
      return true
    } catch {
      guard error.code != ENOENT else { return false }
      throw advised(error, directory)
    }
  }

  private static func own(_ directory: String) throws(IOError) -> PEMIdentity {
    let path = files(directory).own
    do throws(IOError) {
      guard let own = try PEMIdentity(file: path), Certificates.belongTogether(own) else {
        throw IOError(operation: "read", subject: path, message: "holds no certificate with its key")
      }
      return own
    } catch {
      throw advised(error, directory)
    }
  }

  private static func believed(_ directory: String) throws(IOError) -> [UInt8] {
    let path = files(directory).authority
    do throws(IOError) {
      let bundle = try Files.read(path, limit: PrivateFiles.limit)
      guard !Certificates.keyDigests(ofBundle: bundle).isEmpty else {
        throw IOError(operation: "read", subject: path, message: "holds no certificate of an authority")
      }
      return bundle
    } catch {
      throw advised(error, directory)
    }
  }

  /// What may be whole, and is not for this user's eyes, needs no other identity.
  private static func advised(_ error: IOError, _ directory: String) -> IOError {
    guard error.code != EACCES else {
      return error.advising(
        "start the agent as the user whose directory that is, usually root, or give it a directory of this user's with "
          + "--data")
    }
    return error.advising(
      "what this machine is to its cluster cannot be read. Put the file back from a copy of it; without one delete "
        + "\(directory) and start the agent with a token for the name that it has (stint token create --node NAME, "
        + "where the coordinator runs)")
  }

  /// Writes both, for their owner alone; the own one last, so that where it is the other is too.
  package func write(directory: String) throws(IOError) {
    let files = Self.files(directory)
    try Files.makeDirectory(directory, mode: 0o700)
    try Files.writeAtomically(files.authority, authority, mode: 0o600)
    try Files.writeAtomically(files.own, own.file, mode: 0o600)
    // It is in there now.
    unlink("\(directory)/key.pem")
  }

  /// The node whose agent this is; nil: nobody's.
  package var node: String? {
    let mark = Subject.nodeName("")
    guard let name = Certificates.commonName(own.certificate), name.hasPrefix(mark) else { return nil }
    return String(name.dropFirst(mark.count))
  }

  /// Whether its certificate is over, by this machine's clock.
  package var hasEnded: Bool {
    (Certificates.end(own.certificate) ?? 0) <= Clocks.now().wall / 1_000_000_000
  }

  /// The key in `directory`, made there if need be, of a machine that has no certificate yet: one whose answer is lost
  /// asks again with the same key.
  package static func pendingKey(directory: String) throws(IOError) -> [UInt8] {
    let path = "\(directory)/key.pem"
    if Files.exists(path) {
      do throws(IOError) {
        let key = try PrivateFiles.read(path)
        _ = try PrivateKey(pem: key)
        return key
      } catch {
        throw IOError(operation: "read", subject: path, message: error.message, code: error.code).advising(
          "the key by which this machine was to join cannot be used. Delete it and start again: another one is made, "
            + "and a token that it has used up already has to be another one too")
      }
    }
    try Files.makeDirectory(directory, mode: 0o700)
    let key = try SigningRequests.makeKey()
    try Files.writeAtomically(path, key, mode: 0o600)
    return key
  }

  /// The digest of the authority that has signed it; nil: none that it believes.
  package var signer: KeyDigest? { Certificates.signer(of: own.certificate, among: authority) }

  /// An identity for the agent of `node`, by the authority of the coordinator's data directory `coordinator`; of `key`
  /// (PEM) where it has one: a node's name belongs to its key.
  package static func issue(node: String, coordinator: String, key: [UInt8]? = nil) throws(IOError) -> Identity {
    let authorities = try Authorities(below: "\(coordinator)/pki")
    let key = if let key { key } else { try SigningRequests.makeKey() }
    let request = try SigningRequests.make(name: Subject.nodeName(node), key: key)
    let certificate = try SigningRequests.sign(
      request: request, node: node, authority: authorities.current, seconds: 90 * 24 * 3600)
    return Identity(own: PEMIdentity(certificate: certificate, key: key), authority: authorities.bundle)
  }

  /// What the agent of `node` is where the authority of the coordinator's data directory `coordinator` is at hand: the
  /// identity in `directory`. That authority makes one where there is none, and the next one, for the same key, where
  /// it or the one that it followed has signed what is there and that ends within a day. It takes no other authority's
  /// place: the directory may be a copy that was left behind when the coordinator was moved.
  package static func local(directory: String, node: String, coordinator: String) throws(IOError) -> Identity {
    let own = try isThere(directory) ? own(directory) : nil
    let authorities: Authorities
    do throws(IOError) {
      authorities = try Authorities(below: "\(coordinator)/pki")
    } catch {
      guard let own else { throw error }
      return Identity(own: own, authority: try believed(directory))
    }
    if let own {
      guard Certificates.signer(of: own.certificate, among: authorities.bundle) != nil else {
        return Identity(own: own, authority: try believed(directory))
      }
      // Whom it believes is at hand: what the directory says of that may be damaged.
      if let believed = try? believed(directory),
        Certificates.isUsable(own, authority: believed, inSeconds: 24 * 3600)
      {
        return Identity(own: own, authority: believed)
      }
    }
    let made = try issue(node: node, coordinator: coordinator, key: own?.key)
    try made.write(directory: directory)
    return made
  }
}

extension PEMIdentity {
  private static let keyMark = Array("-----BEGIN PRIVATE KEY-----".utf8)

  /// A certificate and its key from one file, which must be its owner's alone; nil when it holds something else.
  package init?(file path: String) throws(IOError) {
    let bytes = try PrivateFiles.read(path)
    guard bytes.count > Self.keyMark.count,
      let start = (1...(bytes.count - Self.keyMark.count)).first(where: { start in
        bytes[start..<(start + Self.keyMark.count)].elementsEqual(Self.keyMark)
      })
    else { return nil }
    self.init(certificate: Array(bytes[..<start]), key: Array(bytes[start...]))
  }

  /// Both as one file's content: a crash cannot leave a certificate beside another one's key.
  package var file: [UInt8] { certificate + key }
}
