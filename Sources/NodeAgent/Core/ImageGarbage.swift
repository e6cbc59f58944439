// Which images a node removes, and when: the kubelet's rule (pkg/kubelet/images/image_gc_manager.go). Of those that
// nobody uses the longest unused go first, when the disk is fuller than a mark, until it is below another; and those
// that were unused for too long. Removes nothing itself.

import ClusterProto

/// What is remembered of images for that.
struct ImageGarbage {
  private struct Use {
    /// nil: it was there when the agent began.
    var detected: BootTime?
    var lastUsed: BootTime?
  }

  private let settings: ImageSettings
  private var uses: [String: Use] = [:]
  private var begunAt: BootTime?
  private var lookedAt: BootTime?
  /// On a disk that is too full it is looked again after this: what an image frees is known when it is gone.
  private static let fullDiskMilliseconds: Int64 = 10_000

  init(_ settings: ImageSettings) { self.settings = settings }

  /// These images are there.
  mutating func present(_ records: [ImageRecord], at now: BootTime) {
    let isFirst = begunAt == nil
    if isFirst { begunAt = now }
    var kept: [String: Use] = [:]
    for record in records { kept[record.id] = uses[record.id] ?? Use(detected: isFirst ? nil : now) }
    uses = kept
  }

  /// It is used now, or was until now.
  mutating func used(_ id: String, at now: BootTime) {
    uses[id, default: Use(detected: now)].lastUsed = now
  }

  /// The images that go now, in order; empty when it is not time to look. `isShort`: pods have to go if that is not
  /// enough, so all that nobody uses goes before.
  mutating func collect(
    _ catalog: ImageCatalog, inUse: Set<String>, room: DiskRoom, isShort: Bool = false, at now: BootTime
  ) -> [String] {
    let wanted = isShort ? Int64.max : bytesToFree(room)
    let pause = wanted == nil ? settings.collectionMilliseconds : Self.fullDiskMilliseconds
    if let lookedAt, now - lookedAt < pause { return [] }
    lookedAt = now
    for id in inUse.sorted() where catalog.records[id] != nil { used(id, at: now) }
    var result: [String] = []
    var freed: Int64 = 0
    for record in inOrder(catalog) where !inUse.contains(record.id) {
      let isNeeded = wanted.map { freed < $0 } ?? false
      guard isOld(record.id, now) || isNeeded && mayGo(record.id, now) else { continue }
      result.append(record.id)
      freed = freed.addingSaturated(max(0, record.bytes))
    }
    return result
  }

  /// How much has to go; nil: the disk is not too full.
  private func bytesToFree(_ room: DiskRoom) -> Int64? {
    guard room.totalBytes > 0 else { return nil }
    let (free, total) = (UInt128(min(room.availableBytes, room.totalBytes)), UInt128(room.totalBytes))
    guard 100 - Int64(free * 100 / total) >= settings.highPercent else { return nil }
    let goal = total * UInt128(max(0, 100 - settings.lowPercent)) / 100
    return goal > free ? Int64(clamping: goal - free) : 0
  }

  /// Longest unused first, of these the longest there.
  private func inOrder(_ catalog: ImageCatalog) -> [ImageRecord] {
    func rank(_ id: String) -> (Int64, Int64, String) {
      let use = uses[id]
      return (use?.lastUsed?.milliseconds ?? .min, use?.detected?.milliseconds ?? .min, id)
    }
    return catalog.all.sorted { rank($0.id) < rank($1.id) }
  }

  private func mayGo(_ id: String, _ now: BootTime) -> Bool {
    guard let detected = uses[id]?.detected else { return true }
    return now - detected >= settings.minimumAgeMilliseconds
  }

  private func isOld(_ id: String, _ now: BootTime) -> Bool {
    guard let limit = settings.maximumAgeMilliseconds, let begunAt else { return false }
    let last = [uses[id]?.lastUsed, uses[id]?.detected, begunAt].compactMap { $0 }.max() ?? now
    return now - last >= limit
  }
}
