// Owns: taking a secret out of what other users of the machine are shown of this process: its command line, and its
// environment. It must not know what the secret is for.

import ClusterIO
import Glibc

enum SecretWords {
  /// Overwrites each occurrence in the memory that /proc shows. Where the kernel does not say where that is, nothing
  /// happens.
  static func hide(_ secret: String) {
    guard !secret.isEmpty, let bytes = try? Files.read("/proc/self/stat", limit: 4_096) else { return }
    // The name in parentheses may hold spaces: fields are counted after it; state, the third one, is the first of them.
    let fields = String(decoding: bytes, as: UTF8.self).split(separator: ")").last?.split(separator: " ") ?? []
    for first in [45, 47] where fields.count > first + 1 {
      guard let start = UInt(fields[first]), let end = UInt(fields[first + 1]), start != 0, end > start,
        let memory = UnsafeMutableRawPointer(bitPattern: start)
      else { continue }
      overwrite(Array(secret.utf8), UnsafeMutableRawBufferPointer(start: memory, count: Int(end - start)))
    }
  }

  private static func overwrite(_ secret: [UInt8], _ memory: UnsafeMutableRawBufferPointer) {
    var start = 0
    while start + secret.count <= memory.count {
      if memory[start..<(start + secret.count)].elementsEqual(secret) {
        for offset in start..<(start + secret.count) { memory[offset] = UInt8(ascii: "x") }
        start += secret.count
      } else {
        start += 1
      }
    }
  }
}
