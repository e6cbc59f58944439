// Owns: how much connections may hold of this process: places before they have proven who they are, bytes of bodies
// behind it. It must not know requests, nor who may do what.

/// Bytes of request bodies that are being read or served. A body has its whole room before its first byte is read, so
/// that bodies which are half there cannot wait for each other.
struct BodyLedger {
  /// Of all together: what comes of a body as a tree is several times as large.
  static let limit = 64 << 20
  /// Of one name, so that somebody else's fit beside them.
  static let subjectLimit = 48 << 20

  private(set) var bytes = 0
  private var bySubject: [String: Int] = [:]

  /// Whether there is room for `count` more bytes of `subject`; they are counted then.
  mutating func take(_ count: Int, for subject: String) -> Bool {
    let own = bySubject[subject, default: 0]
    guard bytes + count <= Self.limit, own + count <= Self.subjectLimit else { return false }
    bytes += count
    bySubject[subject] = own + count
    return true
  }

  mutating func giveBack(_ count: Int, of subject: String) {
    bytes -= count
    let left = bySubject[subject, default: 0] - count
    bySubject[subject] = left > 0 ? left : nil
  }
}

/// Connections that have not proven who they are, or never will: each has its time and its place, and while all places
/// are taken nobody else is let in but waits in the kernel's queue. One other machine has a share of the places, so
/// that it alone keeps nobody out.
struct UnprovenPlaces {
  let limit: Int
  /// Of one machine; this one's own processes have all.
  static let shareOfOrigin = 64
  /// While all places are taken, whoever has had one for so long gives it up. A handshake takes some milliseconds.
  static let crowdedNanoseconds: Int64 = 2_000_000_000

  private var places: [ObjectIdentifier: (since: Int64, origin: String?)] = [:]
  private var byOrigin: [String: Int] = [:]

  init(limit: Int) { self.limit = limit }

  var isFull: Bool { places.count >= limit }

  /// Whether one more of that machine may come.
  func hasRoom(for origin: String?) -> Bool {
    origin.map { byOrigin[$0, default: 0] < Self.shareOfOrigin } ?? true
  }

  mutating func add(_ client: AnyObject, from origin: String?, at now: Int64) {
    places[ObjectIdentifier(client)] = (now, origin)
    if let origin { byOrigin[origin, default: 0] += 1 }
  }

  mutating func remove(_ client: AnyObject) {
    guard let place = places.removeValue(forKey: ObjectIdentifier(client)), let origin = place.origin else { return }
    let left = byOrigin[origin, default: 0] - 1
    byOrigin[origin] = left > 0 ? left : nil
  }

  /// Whether `client` must go to make room.
  func mustLeave(_ client: AnyObject, at now: Int64) -> Bool {
    guard isFull, let place = places[ObjectIdentifier(client)] else { return false }
    return now - place.since >= Self.crowdedNanoseconds
  }
}
