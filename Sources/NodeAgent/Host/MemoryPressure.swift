// Whom the kernel ends when memory runs out: kubelet's scores, the keeper behind all pods. Knows nothing of how much
// anybody uses.

import Glibc

enum MemoryPressure {
  /// Of the agent, and of containers whose agent says nothing. An agent that eats memory goes before the innocent pods
  /// beside it, whose keeper does not need it; only pods that asked for less than half of the node go before.
  static let expendable: Int32 = 500

  /// A container's score. One that nothing bounds never counts among those that come last, whatever it asked for.
  static func score(_ score: Int64?, isBounded: Bool) -> Int32 {
    guard let score else { return expendable }
    return Int32(clamping: isBounded ? score : max(score, 0))
  }

  /// The keeper's death is the death of all its pods. Only root may go below the usual score; without, the keeper goes
  /// back from what it has of the agent that started it.
  static func spareKeeper() {
    if !set("-999") { _ = set("0") }
  }

  static func offerAgent() { _ = set("\(expendable)") }

  /// Not worth a word when it fails.
  private static func set(_ score: String) -> Bool {
    let descriptor = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return write(descriptor, score, score.utf8.count) > 0
  }
}
