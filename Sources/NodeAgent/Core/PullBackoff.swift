// How long a pod waits before an image is fetched for it again: client-go's Backoff as the kubelet uses it for images.
// A key is a pod and an image as its manifest writes it.

import ClusterProto

/// The pauses of the pods whose images could not be fetched.
struct PullBackoff: Equatable {
  struct Key: Hashable, Comparable, Sendable {
    var podUID: String
    var image: String

    static func < (left: Key, right: Key) -> Bool { (left.podUID, left.image) < (right.podUID, right.image) }
  }

  private struct Entry: Equatable {
    var pause: Int64
    var failedAt: BootTime
    var error: String
  }

  private var entries: [Key: Entry] = [:]
  let firstMilliseconds: Int64
  let capMilliseconds: Int64

  init(firstMilliseconds: Int64, capMilliseconds: Int64) {
    self.firstMilliseconds = max(1, firstMilliseconds)
    self.capMilliseconds = max(1, capMilliseconds)
  }

  /// So long after its last failure a pause begins anew: nobody has asked meanwhile.
  private var forgottenAfter: Int64 { 2 * capMilliseconds }

  /// It failed: the pause doubles, up to the cap. A fetch that succeeds forgives nothing, as in Kubernetes.
  mutating func failed(_ key: Key, error: String, at now: BootTime) {
    var pause = firstMilliseconds
    if let entry = entries[key], now - entry.failedAt <= forgottenAfter {
      pause = min(entry.pause * 2, capMilliseconds)
    }
    entries[key] = Entry(pause: min(pause, capMilliseconds), failedAt: now, error: error)
  }

  /// Until when it pauses, and why; nil: it may be fetched.
  func pause(of key: Key, at now: BootTime) -> (until: BootTime, error: String)? {
    guard let entry = entries[key], now - entry.failedAt < entry.pause else { return nil }
    return (entry.failedAt + entry.pause, entry.error)
  }

  /// Drops what is so old that it counts no longer.
  mutating func forgetOld(at now: BootTime) {
    let limit = forgottenAfter
    entries = entries.filter { now - $0.value.failedAt <= limit }
  }

  var count: Int { entries.count }
}
