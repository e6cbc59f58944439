// Owns: what of a network share may become arguments of the program that mounts it. Coordinator and agent ask the same:
// the one refuses the manifest, the other trusts nobody. It must not know any program.

/// The texts of an NFS volume.
package enum ShareText {
  /// Why nothing can be mounted from that server; nil: it looks like a host name or an address. A first minus sign
  /// would make a flag of it.
  package static func serverProblem(_ server: String) -> String? {
    let bytes = Array(server.utf8)
    let isPlain = bytes.allSatisfy { isLetterOrDigit($0) || ".-_:%".utf8.contains($0) }
    guard isPlain, let first = bytes.first, isLetterOrDigit(first) || first == UInt8(ascii: ":"), bytes.count <= 253
    else { return "must be a host name or an IP address (IPv6 without brackets)" }
    return nil
  }

  /// Why that path of a server can be no argument; nil: it can.
  package static func pathProblem(_ path: String) -> String? {
    if !PathText.isAbsolute(path) { return "must be an absolute path" }
    return controlProblem(path)
  }

  /// The same for an option of a mount.
  package static func optionProblem(_ option: String) -> String? {
    if option.isEmpty { return "must not be empty" }
    return controlProblem(option)
  }

  /// A zero byte ends an argument, a line's end a line of the system's tables.
  private static func controlProblem(_ text: String) -> String? {
    if text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) { return "must not contain control characters" }
    return text.utf8.count > 4095 ? "must be no more than 4095 bytes" : nil
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
  }
}
