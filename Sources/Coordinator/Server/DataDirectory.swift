// Owns: the small files beside the store: the token, and where the coordinator can be reached. It must not know the
// store.

import ClusterIO
import ClusterProto
import Glibc

/// The data directory of a coordinator. Its files are made once the store holds its lock.
package struct DataDirectory: Sendable {
  /// Its path.
  package let path: String

  /// The directory at `path`.
  package init(path: String) { self.path = path }

  /// `PATH/token`: who can read it may use the cluster.
  package var tokenPath: String { "\(path)/token" }

  /// A coordinator has been here: a store must be here too. `lock` is no evidence: a first start that is killed before
  /// it has made its store leaves that alone, and nothing was lost.
  package var hasIdentity: Bool {
    ["token", "pki", "coordinator.json", "reserve", "reserve.start"].contains { Files.exists("\(path)/\($0)") }
  }

  /// The token, made at the first start: 32 random bytes in hexadecimal, in a file that only its owner reads.
  package func token() throws(IOError) -> [UInt8] {
    if !Files.exists(tokenPath) {
      let text = Hexadecimal.text(try Crypto.randomBytes(32))
      try Files.writeAtomically(tokenPath, Array("\(text)\n".utf8), mode: 0o600)
    }
    return try DataDirectory.readToken(tokenPath)
  }

  /// Reads a token file; a short one (an empty file) is refused: it would be no secret.
  package static func readToken(_ path: String) throws(IOError) -> [UInt8] {
    let token = Array(try Files.readLine(path).utf8)
    guard token.count >= 32 else {
      throw IOError(
        operation: "token", subject: path,
        message: "holds no token of at least 32 characters: put the coordinator's token back, from a backup or from a "
          + "machine that has a copy; or, in the coordinator's own data directory, delete this file and start the "
          + "coordinator again: it makes a new token, which every agent and client then needs")
    }
    return token
  }

  /// Writes `PATH/coordinator.json` for clients on this machine: `{"address","pid","cluster","token"}`, and
  /// with `api` the URL of the Kubernetes API.
  package func announce(
    address: SocketAddress, api: SocketAddress? = nil, pid: Int32, cluster: String
  ) throws(IOError) {
    var json: JSON = [
      "address": .string(address.description), "pid": .int(Int64(pid)), "cluster": .string(cluster),
      "token": .string(tokenPath),
    ]
    if let api { json["api"] = .string("https://\(api)") }
    let (file, bytes) = ("\(path)/coordinator.json", Array("\(json.text)\n".utf8))
    do throws(IOError) {
      try Files.writeAtomically(file, bytes, mode: 0o600)
    } catch {
      // A full disk must not keep a start from serving deletes: the file that is there has its block.
      guard error.code == ENOSPC || error.code == EDQUOT, Files.exists(file) else { throw error }
      try DataDirectory.overwrite(file, bytes)
    }
  }

  private static func overwrite(_ path: String, _ bytes: [UInt8]) throws(IOError) {
    let descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else { throw IOError.last("open", path) }
    defer { close(descriptor) }
    try Files.writeAll(descriptor, bytes, path: path)
    guard ftruncate(descriptor, off_t(bytes.count)) == 0 else { throw IOError.last("ftruncate", path) }
  }

  /// Where the Kubernetes API was served last; nil when that is not known.
  func announcedAPI() -> SocketAddress? {
    guard let bytes = try? Files.read("\(path)/coordinator.json", limit: 64 * 1024),
      let url = (try? JSON(parsing: bytes))?["api"]?.stringValue, url.hasPrefix("https://")
    else { return nil }
    return SocketAddress(parsing: String(url.dropFirst("https://".count)))
  }
}
