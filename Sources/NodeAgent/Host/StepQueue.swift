// Owns: the order in which a core of this node takes its events. It must not know what they say.

import ClusterIO
import ClusterProto

/// Events of one core, in the order of their coming. What an effect reports at once is taken after the effects before
/// it are done.
final class StepQueue<Event> {
  private var events: [Event] = []
  private var isStepping = false

  /// Adds an event and, unless that is going on already, lets `step` take all that there are, each at its own time.
  func enter(_ event: Event, step: (Event, Now) -> Void) {
    events.append(event)
    guard !isStepping else { return }
    isStepping = true
    defer { isStepping = false }
    var position = 0
    while position < events.count {
      let clocks = Clocks.now()
      let now = Now(boot: BootTime(milliseconds: clocks.boot / 1_000_000), wall: WallTime(nanoseconds: clocks.wall))
      step(events[position], now)
      position += 1
    }
    events.removeAll(keepingCapacity: true)
  }
}
