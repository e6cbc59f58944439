// Owns: the small files beside the store: where the coordinator can be reached, and the administrator's kubeconfig.
// It must not know the store.

import ClusterIO
import ClusterProto
import Glibc

/// The data directory of a coordinator. Its files are made once the store holds its lock.
package struct DataDirectory: Sendable {
  /// Its path.
  package let path: String

  /// The directory at `path`.
  package init(path: String) { self.path = path }

  /// `PATH/admin.kubeconfig`: who can read it may do everything.
  package var kubeconfigPath: String { "\(path)/admin.kubeconfig" }

  /// A coordinator has been here: a store must be here too. `lock` is no evidence: a first start that is killed before
  /// it has made its store leaves that alone, and nothing was lost.
  package var hasIdentity: Bool {
    ["pki", "coordinator.json", "reserve", "reserve.start"].contains { Files.exists("\(path)/\($0)") }
  }

  /// Refuses a directory into which others may put keys or a store of their own. What others may merely see is told.
  func checkOwnership() throws(IOError) {
    try PrivateFiles.refuseShared(path, withContent: false)
    try PrivateFiles.refuseShared("\(path)/pki", withContent: true)
    // Its permissions are people's: a group of administrators may share it.
    for exposure in [PrivateFiles.exposure(of: path), PrivateFiles.exposure(of: "a key", in: kubeconfigPath)] {
      if let exposure { ServerLog.error("the data directory is not its owner's alone", ("reason", exposure)) }
    }
  }

  /// Removes what a crash has left of a file that was being written, keys among them. Only the directory's holder may,
  /// and before it writes any.
  package func removeRemains() {
    let pki = "\(path)/pki"
    let left = ((try? Files.list(pki)) ?? []).filter { $0.hasSuffix(".new") }.map { "\(pki)/\($0)" }
    for file in left + ["\(kubeconfigPath).new", "\(path)/coordinator.json.new"] { unlink(file) }
  }

  /// The administrator's kubeconfig, to carry away: the addresses of `coordinator.json` and the certificates of `pki`.
  package func kubeconfig() throws(IOError) -> String {
    let file = "\(path)/coordinator.json"
    guard Files.exists(file) else {
      throw IOError(
        operation: "read", subject: file, message: "no coordinator was started here; name its directory by --data")
    }
    guard let facts = try? JSON(parsing: try Files.read(file, limit: 64 * 1024)),
      let native = facts["address"]?.stringValue
    else { throw IOError(operation: "read", subject: file, message: "is damaged: restart the coordinator") }
    return try PKI.kubeconfig(
      directory: path, cluster: facts["cluster"]?.stringValue ?? "", server: facts["api"]?.stringValue ?? "",
      native: native)
  }

  /// Writes one for clients on this machine, by addresses that work here: those that others are told may be a router's.
  /// Unless it is there already.
  package func writeKubeconfig(cluster: String, native: SocketAddress, server: String) throws(IOError) {
    let text = try PKI.kubeconfig(directory: path, cluster: cluster, server: server, native: native.description)
    let bytes = Array(text.utf8)
    if let found = try? Files.read(kubeconfigPath, limit: 64 * 1024), found == bytes { return }
    try DataDirectory.write(kubeconfigPath, bytes)
  }

  /// Writes `PATH/coordinator.json` for clients on this machine: `{"address","pid","cluster"}`, and with `api` the URL
  /// of the Kubernetes API.
  package func announce(
    address: SocketAddress, api: SocketAddress? = nil, pid: Int32, cluster: String
  ) throws(IOError) {
    var json: JSON = [
      "address": .string(address.description), "pid": .int(Int64(pid)), "cluster": .string(cluster),
    ]
    if let api { json["api"] = .string("https://\(api)") }
    try DataDirectory.write("\(path)/coordinator.json", Array("\(json.text)\n".utf8))
  }

  private static func write(_ file: String, _ bytes: [UInt8]) throws(IOError) {
    do throws(IOError) {
      try Files.writeAtomically(file, bytes, mode: 0o600)
    } catch {
      // A full disk must not keep a start from serving deletes: the file that is there has its block.
      guard error.code == ENOSPC || error.code == EDQUOT, Files.exists(file) else {
        throw error.advising("\(file) is written at each start: move away what is there in its place")
      }
      try DataDirectory.overwrite(file, bytes)
    }
  }

  private static func overwrite(_ path: String, _ bytes: [UInt8]) throws(IOError) {
    let descriptor = try Files.openToWrite(path, O_WRONLY | O_NOFOLLOW)
    defer { close(descriptor) }
    try Files.writeAll(descriptor, bytes, path: path)
    guard ftruncate(descriptor, off_t(bytes.count)) == 0 else { throw IOError.last("ftruncate", path) }
  }

  /// What was said of the process that serves from `path`, or served last: `{"address","pid","cluster","api"}`.
  private static func announced(at path: String) -> JSON? {
    guard let bytes = try? Files.read("\(path)/coordinator.json", limit: 64 * 1024) else { return nil }
    return try? JSON(parsing: bytes)
  }

  /// The process that served from here last.
  func announcedPID() -> String? { Self.announced(at: path)?["pid"]?.intValue.map { "\($0)" } }

  /// Where the Kubernetes API was served last; nil when that is not known.
  func announcedAPI() -> SocketAddress? {
    guard let url = Self.announced(at: path)?["api"]?.stringValue, url.hasPrefix("https://") else { return nil }
    return SocketAddress(parsing: String(url.dropFirst("https://".count)))
  }

  /// Where the native port of the coordinator with that data directory was last, `HOST:PORT`, for its own machine; nil
  /// where there is no `coordinator.json`. One that says no address is an error.
  package static func announcedAddress(at path: String) throws(IOError) -> String? {
    let file = "\(path)/coordinator.json"
    do throws(IOError) {
      let bytes = try Files.read(file, limit: 64 * 1024)
      guard let address = (try? JSON(parsing: bytes))?["address"]?.stringValue,
        case .tcp(_, let port)? = SocketAddress(parsing: address), port != 0
      else { throw IOError(operation: "read", subject: file, message: "says no address HOST:PORT") }
      return address
    } catch {
      // A link that leads nowhere is there.
      if error.code == ENOENT, (try? Files.status(file, followLinks: false)) == nil { return nil }
      throw error.advising(
        "start that directory's coordinator anew, which writes it at each start, or name the coordinator with "
          + "--coordinator HOST:PORT")
    }
  }
}
