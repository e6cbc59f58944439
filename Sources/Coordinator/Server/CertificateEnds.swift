// Owns: closing connections of either door when the certificate that they were opened by ends. The cost follows what
// ends: the next end is at hand, no connection is looked through. It must not know what connections are for.

import ClusterIO
import ClusterProto
import CoordinatorCore

/// When the certificates of open connections end.
final class CertificateEnds {
  /// The core's word on a later certificate of the same key; nil: it knows none.
  var renewedUntil: (Subject) -> WallTime? = { _ in nil }

  private struct Entry: Comparable {
    var end: Int64
    var connection: ObjectIdentifier

    static func < (left: Entry, right: Entry) -> Bool {
      left.end == right.end ? left.connection < right.connection : left.end < right.end
    }
  }

  private struct Holder {
    var end: Int64
    var subject: Subject
    /// Closes it; given what to say.
    var close: (String) -> Void
  }

  private let loop: EventLoop
  private var heap = MinHeap<Entry>()
  private var holders: [ObjectIdentifier: Holder] = [:]
  private lazy var timer = loop.makeTimer { [unowned self] in look() }
  /// Closed in one turn.
  static let closedAtOnce = 64
  /// The wall clock may be set meanwhile: an end is seen at most so much later.
  private static let longestWaitSeconds: Int64 = 60

  init(loop: EventLoop) { self.loop = loop }

  /// Open connections whose certificates have an end.
  var count: Int { holders.count }
  /// Ends that are kept, those of connections that have gone among them.
  var entries: Int { heap.count }

  /// `connection` was opened by `subject`, whose certificate ends at `end` (seconds since 1970). `close` is called when
  /// that has come, unless `remove` was.
  func add(_ connection: AnyObject, of subject: Subject, end: Int64, close: @escaping (String) -> Void) {
    set(ObjectIdentifier(connection), Holder(end: end, subject: subject, close: close))
    // Connections that come and go would leave their entries behind until those are due.
    if heap.count > 64, heap.count > holders.count * 4 {
      heap.keep { holders[$0.connection]?.end == $0.end }
    }
    arm()
  }

  /// It is no longer open.
  func remove(_ connection: AnyObject) { holders[ObjectIdentifier(connection)] = nil }

  private func set(_ connection: ObjectIdentifier, _ holder: Holder) {
    holders[connection] = holder
    heap.insert(Entry(end: holder.end, connection: connection))
  }

  private func arm() {
    while let first = heap.first, holders[first.connection]?.end != first.end { heap.removeFirst() }
    guard let end = heap.first?.end else { return timer.arm(at: nil) }
    let (boot, wall) = Clocks.now()
    let wait = min(max(end - wall / 1_000_000_000, 0), Self.longestWaitSeconds)
    // On the full second, at which the end has come.
    let part = wait == 0 ? 0 : wall % 1_000_000_000
    timer.arm(at: boot + wait * 1_000_000_000 - part)
  }

  private func look() {
    let now = Clocks.now().wall / 1_000_000_000
    var left = Self.closedAtOnce
    while left > 0, let first = heap.first, first.end <= now {
      heap.removeFirst()
      guard var holder = holders[first.connection], holder.end == first.end else { continue }
      // A node's key may have had its next certificate over this very session, which goes on then.
      if let later = renewedUntil(holder.subject)?.seconds, later > now {
        holder.end = later
        set(first.connection, holder)
        continue
      }
      left -= 1
      holders[first.connection] = nil
      let end = WallTime(nanoseconds: first.end * 1_000_000_000).rfc3339
      holder.close("the certificate of \(JSON.string(holder.subject.name).text) ended at \(end)")
    }
    arm()
  }
}
