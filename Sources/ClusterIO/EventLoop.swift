// Owns: the one thread's loop: ready descriptors, then due timers, then the turn's end, then deferred writes.
// It must not know what its handlers do. Not Sendable: it is made and used on one thread; others post to a Mailbox.

import CLinux
import Glibc

/// An epoll loop for one thread. A turn is: wait, dispatch every ready descriptor, fire due timers, `onTurnEnd`, flush.
package final class EventLoop {
  /// What a descriptor is watched for, and what it was found ready for.
  package struct Interest: OptionSet, Sendable {
    /// The set as bits.
    package let rawValue: UInt8
    /// The set of these bits.
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    /// Bytes, a connection or an event can be read.
    package static let readable = Interest(rawValue: 1)
    /// Bytes can be written.
    package static let writable = Interest(rawValue: 2)
    /// Exceptional data, as a cgroup's event file reports (EPOLLPRI).
    package static let priority = Interest(rawValue: 4)
    /// The other side hung up or the descriptor failed. Always reported, never asked for.
    package static let hangup = Interest(rawValue: 8)
    /// The other side said that it sends no more (EPOLLRDHUP).
    package static let departure = Interest(rawValue: 16)
  }

  private struct Registration {
    var generation: UInt32
    var handler: ((Interest) -> Void)?
  }

  /// Called once a turn, after all ready descriptors and due timers were handled.
  package var onTurnEnd: (() -> Void)?
  /// Asked before each wait: whether something waits for a turn that no descriptor and no timer reports. What fills a
  /// queue for `onTurnEnd` may do so behind it, when output has gone; were that told once instead of asked for, the one
  /// who forgets to tell would sleep on it.
  package var hasWork: (() -> Bool)?

  private let epoll: Int32
  private let timerDescriptor: Int32
  private var registrations: [Registration] = []
  private var events: [epoll_event]
  private var timers: [LoopTimer] = []
  private var programmedTime = Int64.max
  private var deferred: [() -> Void] = []
  /// The deferred work that is being done, or room for the next.
  private var doing: [() -> Void] = []
  /// TLS handshakes that may still go a step on in this turn; the others stay readable for the next.
  var handshakesLeft = 0
  /// Room for what a connection receives at once, for whichever is reading.
  let receiveBuffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)
  private var wantsTurn = false
  private var lastTurn = Clocks.boot()
  /// Turn pauses longer than this (a stopped process, a suspended machine) make the loop drain sockets before timers.
  private static let gapNanoseconds: Int64 = 500_000_000
  private static let eventsPerWait = 256
  /// A step costs up to a millisecond, for which nobody else is heard.
  private static let handshakesPerTurn = 32
  private static let drainRounds = 64
  private static let crowdNanoseconds: Int64 = 10_000_000

  /// Makes the epoll set and its timer.
  package init() throws(IOError) {
    epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    guard epoll >= 0 else { throw IOError.last("epoll_create1") }
    timerDescriptor = timerfd_create(CLOCK_BOOTTIME, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
    guard timerDescriptor >= 0 else { throw IOError.last("timerfd_create") }
    events = Array(repeating: epoll_event(), count: EventLoop.eventsPerWait)
    try add(timerDescriptor, .readable) { [unowned self] _ in
      var expirations: UInt64 = 0
      _ = read(self.timerDescriptor, &expirations, 8)
      self.programmedTime = Int64.max
    }
  }

  deinit {
    close(timerDescriptor)
    close(epoll)
    receiveBuffer.deallocate()
  }

  /// Watches `descriptor`; `handler` is kept until `remove`. Fails with EEXIST when it is watched already.
  package func add(_ descriptor: Int32, _ interest: Interest, _ handler: @escaping (Interest) -> Void) throws(IOError) {
    let index = Int(descriptor)
    while registrations.count <= index { registrations.append(Registration(generation: 0, handler: nil)) }
    registrations[index].generation &+= 1
    var event = makeEvent(descriptor, interest)
    guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { throw IOError.last("epoll_ctl add") }
    registrations[index].handler = handler
  }

  /// Changes what a watched `descriptor` is watched for; an empty interest still reports a hang-up.
  package func modify(_ descriptor: Int32, _ interest: Interest) throws(IOError) {
    var event = makeEvent(descriptor, interest)
    guard epoll_ctl(epoll, EPOLL_CTL_MOD, descriptor, &event) == 0 else { throw IOError.last("epoll_ctl mod") }
  }

  /// Stops watching `descriptor`; call it before closing. Events of this turn not yet handed out are dropped.
  package func remove(_ descriptor: Int32) {
    let index = Int(descriptor)
    guard index < registrations.count, registrations[index].handler != nil else { return }
    registrations[index].handler = nil
    registrations[index].generation &+= 1
    var event = epoll_event()
    epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, &event)
  }

  /// A new unarmed one-shot timer; the loop holds it only while it is armed.
  package func makeTimer(_ handler: @escaping () -> Void) -> LoopTimer { LoopTimer(loop: self, handler: handler) }

  /// Has `work` run at the end of this turn, after `onTurnEnd`; outside a turn, at the end of the next.
  package func atTurnEnd(_ work: @escaping () -> Void) { deferred.append(work) }

  /// Makes the next `runOnce` not wait: something changed outside a descriptor's handler.
  package func requestTurn() { wantsTurn = true }

  /// Runs turns until `stop` says true, asked before each.
  package func run(until stop: () -> Bool) throws(IOError) {
    while !stop() { try runOnce(timeoutMilliseconds: -1) }
  }

  /// One turn. Waits at most `timeoutMilliseconds` (-1: until something happens).
  package func runOnce(timeoutMilliseconds: Int32) throws(IOError) {
    programTimer()
    let timeout = wantsTurn || !deferred.isEmpty || hasWork?() == true ? 0 : timeoutMilliseconds
    wantsTurn = false
    handshakesLeft = EventLoop.handshakesPerTurn
    let now = Clocks.boot()
    let gap = now - lastTurn > EventLoop.gapNanoseconds && timers.contains { $0.deadline <= now }
    var ready = try dispatch(timeout: timeout)
    // After a gap what peers sent meanwhile is older news than our own time-outs: hear it all before judging them.
    // Without a gap it is a crowd that talks: each is heard, but for no longer than a turn may take.
    var rounds = 0
    let end = Clocks.boot() + EventLoop.crowdNanoseconds
    while rounds < EventLoop.drainRounds, gap ? ready > 0 : ready == EventLoop.eventsPerWait && Clocks.boot() < end {
      ready = try dispatch(timeout: 0)
      rounds += 1
    }
    fireTimers()
    lastTurn = Clocks.boot()
    // Whatever asked for a turn so far gets this one.
    wantsTurn = false
    onTurnEnd?()
    swap(&doing, &deferred)
    for item in doing { item() }
    doing.removeAll(keepingCapacity: true)
  }

  private func dispatch(timeout: Int32) throws(IOError) -> Int {
    let count = epoll_wait(epoll, &events, Int32(EventLoop.eventsPerWait), timeout)
    if count < 0 {
      guard errno == EINTR else { throw IOError.last("epoll_wait") }
      return 0
    }
    for index in 0..<Int(count) {
      let event = events[index]
      let descriptor = Int(event.data.u64 & 0xffff_ffff)
      let generation = UInt32(event.data.u64 >> 32)
      guard registrations[descriptor].generation == generation else { continue }
      registrations[descriptor].handler?(EventLoop.readiness(event.events))
    }
    return Int(count)
  }

  private func makeEvent(_ descriptor: Int32, _ interest: Interest) -> epoll_event {
    var event = epoll_event()
    if interest.contains(.readable) { event.events |= EPOLLIN.rawValue }
    if interest.contains(.writable) { event.events |= EPOLLOUT.rawValue }
    if interest.contains(.priority) { event.events |= EPOLLPRI.rawValue }
    if interest.contains(.departure) { event.events |= EPOLLRDHUP.rawValue }
    let generation = UInt64(registrations[Int(descriptor)].generation)
    event.data.u64 = generation << 32 | UInt64(UInt32(bitPattern: descriptor))
    return event
  }

  private static func readiness(_ bits: UInt32) -> Interest {
    var ready: Interest = []
    if bits & EPOLLIN.rawValue != 0 { ready.insert(.readable) }
    if bits & EPOLLOUT.rawValue != 0 { ready.insert(.writable) }
    if bits & EPOLLPRI.rawValue != 0 { ready.insert(.priority) }
    if bits & EPOLLRDHUP.rawValue != 0 { ready.insert(.departure) }
    if bits & (EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0 { ready.insert(.hangup) }
    return ready
  }

  // Timers: few and short-lived, so a plain array; the descriptor is programmed only when the earliest moves forward.

  func timerChanged(_ timer: LoopTimer, wasArmed: Bool) {
    if timer.deadline == Int64.max {
      timers.removeAll { $0 === timer }
    } else if !wasArmed {
      timers.append(timer)
    }
  }

  private func programTimer() {
    guard let earliest = timers.lazy.map(\.deadline).min(), earliest < programmedTime else { return }
    var when = itimerspec()
    // A zero time would disarm: the earliest nanosecond stands for all that is past.
    let time = max(earliest, 1)
    when.it_value.tv_sec = Int(time / 1_000_000_000)
    when.it_value.tv_nsec = Int(time % 1_000_000_000)
    timerfd_settime(timerDescriptor, Int32(TFD_TIMER_ABSTIME), &when, nil)
    programmedTime = earliest
  }

  private func fireTimers() {
    if timers.isEmpty { return }
    let now = Clocks.boot()
    let due = timers.filter { $0.deadline <= now }.sorted { $0.deadline < $1.deadline }
    // A handler may disarm or move a timer that was due with it: look again before each.
    for timer in due where timer.deadline <= now { timer.fire() }
  }
}

/// A one-shot timer on boot time. Made by `EventLoop.makeTimer`.
package final class LoopTimer {
  /// When it fires, nanoseconds of CLOCK_BOOTTIME; `Int64.max` while unarmed.
  package private(set) var deadline = Int64.max
  private unowned let loop: EventLoop
  private let handler: () -> Void

  fileprivate init(loop: EventLoop, handler: @escaping () -> Void) {
    self.loop = loop
    self.handler = handler
  }

  /// Arms or moves it to `bootNanoseconds`; a past time fires in the next turn, nil disarms.
  package func arm(at bootNanoseconds: Int64?) {
    let wasArmed = deadline != Int64.max
    deadline = bootNanoseconds ?? Int64.max
    loop.timerChanged(self, wasArmed: wasArmed)
  }

  fileprivate func fire() {
    arm(at: nil)
    handler()
  }
}
