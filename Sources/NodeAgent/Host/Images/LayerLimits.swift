// What a layer may cost, and what came of one that was unpacked. Knows nothing of how that is done.

import ClusterIO
import Glibc

/// What one layer may cost.
struct LayerLimits: Sendable {
  /// Entries of the archive.
  var entries = 1_000_000
  /// Bytes that its blob may expand to.
  var contentBytes: Int64 = 64 << 30
  /// Bytes that its files may have together, holes counted.
  var fileBytes: Int64 = 1 << 40
  /// Bytes that stay free on the disk; of a small disk a twentieth.
  var freeBytes: UInt64 = 1 << 30

  /// Fails with ENOSPC where the disk has less room than is kept free.
  func checkRoom(_ path: String) throws(IOError) {
    let (available, total) = try Files.space(path)
    let kept = min(freeBytes, total / 20)
    let inodes = try Files.inodes(path)
    guard available < kept || (inodes.total > 0 && inodes.available < inodes.total / 100) else { return }
    let what = available < kept ? "\(available >> 20) MiB" : "\(inodes.available) files"
    throw IOError(
      operation: "unpack", subject: "", message: "no room: \(what) are left on the disk, which images leave free",
      code: ENOSPC)
  }
}

/// What came of a layer.
struct UnpackedLayer: Equatable, Sendable {
  /// Bytes that were written.
  var bytes: Int64 = 0
  /// Nothing of the layers below shows at all.
  var isOpaque = false
  /// It has directories that its archive does not name: what they are like, other layers say.
  var leansOnOthers = false
  /// What was left out, with how often.
  var omissions: [String: Int] = [:]
}
