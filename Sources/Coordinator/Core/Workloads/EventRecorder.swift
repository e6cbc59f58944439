// v1 Events: one object a distinct happening, a count for its repetitions, one combined object for floods. They end
// after their TTL. Nothing may ever be decided from them.

import ClusterProto

/// `type` of an Event.
enum EventType: String, Sendable {
  case normal = "Normal"
  case warning = "Warning"
}

/// Same source, object, type and reason: what repetitions and floods are counted over.
struct EventGroup: Hashable, Sendable {
  var uid: String
  var type: String
  var reason: String
  var component: String
}

/// Events by what they are about, and by age. Derives from the Event objects.
struct EventIndex: Sendable {
  /// Different messages of one group that get objects of their own (Kubernetes' correlator combines from the tenth on).
  static let distinctLimit = 9
  /// Events that one namespace holds; the oldest go first.
  static let namespaceLimit = 2_000
  static let combinedPrefix = "(combined from similar events): "

  struct Group: Equatable, Sendable {
    var messages: [String: ObjectKey] = [:]
    var combined: ObjectKey?
    var isEmpty: Bool { messages.isEmpty && combined == nil }
  }

  var groups: [EventGroup: Group] = [:]
  /// Events by when they last happened, over all and in each namespace.
  var ages = TimerQueue<ObjectKey>()
  var namespaces: [String: (ages: TimerQueue<ObjectKey>, count: Int)] = [:]
}

extension CoordinatorCore {
  /// Notes that something happened to an object. `component` is who says so, `host` the node where; `fieldPath`: the
  /// part of the object that is meant.
  mutating func recordEvent(
    on object: APIObject, type: EventType, reason: String, message: String, component: String, host: String = "",
    fieldPath: String = ""
  ) {
    let namespace = object.meta.namespace.isEmpty ? "default" : object.meta.namespace
    guard !isTerminating(namespace: namespace) else { return }
    let identity = EventGroup(uid: object.meta.uid, type: type.rawValue, reason: reason, component: component)
    let group = workloads.events.groups[identity]
    if let known = group?.messages[message] {
      repeatEvent(known, message: message)
    } else if let group, group.messages.count >= EventIndex.distinctLimit {
      let text = EventIndex.combinedPrefix + message
      if let combined = group.combined {
        repeatEvent(combined, message: text)
      } else {
        insertEvent(on: object, in: namespace, identity, message: text, host, fieldPath)
      }
    } else {
      insertEvent(on: object, in: namespace, identity, message: message, host, fieldPath)
    }
  }

  private mutating func repeatEvent(_ key: ObjectKey, message: String) {
    let stamp = stamp
    update(ObjectReference(kind: .events, key: key)) { object in
      guard case .other(var event) = object else { return }
      event.body["count"] = .int((event.body["count"]?.intValue ?? 1).nextCount)
      event.body["lastTimestamp"] = .string(stamp.rfc3339)
      event.body["message"] = .string(message)
      object = .other(event)
    }
  }

  private mutating func insertEvent(
    on object: APIObject, in namespace: String, _ group: EventGroup, message: String, _ host: String,
    _ fieldPath: String
  ) {
    var meta = ObjectMeta()
    meta.namespace = namespace
    // The wall clock in hexadecimal, as Kubernetes names them; the number moves on when two fall on one instant.
    var number = UInt64(bitPattern: now.wall.nanoseconds)
    repeat {
      meta.name = "\(object.meta.name).\(StableHash.hex(number))"
      number &+= 1
    } while state.other(.events, meta.key) != nil
    var involved: JSON = [
      "apiVersion": .string(object.kind.apiVersion), "kind": .string(object.kind.name),
      "name": .string(object.meta.name), "uid": .string(group.uid),
      "resourceVersion": .string(String(object.meta.resourceVersion)),
    ]
    if !object.meta.namespace.isEmpty { involved["namespace"] = .string(object.meta.namespace) }
    if !fieldPath.isEmpty { involved["fieldPath"] = .string(fieldPath) }
    var source: JSON = ["component": .string(group.component)]
    if !host.isEmpty { source["host"] = .string(host) }
    insert(
      .other(
        GenericObject(
          kind: .events, meta: meta,
          body: [
            "involvedObject": involved, "reason": .string(group.reason), "message": .string(message),
            "type": .string(group.type), "count": 1, "firstTimestamp": .string(stamp.rfc3339),
            "lastTimestamp": .string(stamp.rfc3339), "eventTime": .null,
            "source": source, "reportingComponent": .string(group.component), "reportingInstance": .string(host),
          ])))
    trimEvents(in: namespace)
  }

  private mutating func trimEvents(in namespace: String) {
    while let entry = workloads.events.namespaces[namespace], entry.count > EventIndex.namespaceLimit {
      let end = BootTime(milliseconds: Int64.max)
      guard let oldest = workloads.events.namespaces[namespace]?.ages.popDue(at: end) else { return }
      erase(ObjectReference(kind: .events, key: oldest))
    }
  }

  /// Removes events that have outlived the TTL, a round's worth at a time.
  mutating func expireEvents() {
    var touched = 0
    let limit = now.boot - configuration.eventTTLMilliseconds
    while touched < Self.roundLimit, let key = workloads.events.ages.popDue(at: limit) {
      touched += 1
      erase(ObjectReference(kind: .events, key: key))
    }
    armEventTimer()
  }

  private mutating func armEventTimer() {
    if let oldest = workloads.events.ages.earliest() {
      // Not before the next millisecond: what a turn leaves over is the next turn's.
      workloads.timers.set(.events, at: max(oldest + configuration.eventTTLMilliseconds, now.boot + 1))
    } else {
      workloads.timers.cancel(.events)
    }
  }

  mutating func observeEvent(_ change: ObjectChange) {
    guard let subject = change.subject, case .other(let event) = subject else { return }
    let key = event.meta.key
    if case .other(let before)? = change.before { unindexEvent(before, key) }
    guard case .other(let after)? = change.after else {
      workloads.events.ages.cancel(key)
      workloads.events.namespaces[key.namespace]?.ages.cancel(key)
      workloads.events.namespaces[key.namespace]?.count -= 1
      if workloads.events.namespaces[key.namespace]?.count == 0 { workloads.events.namespaces[key.namespace] = nil }
      return
    }
    let last =
      after.body["lastTimestamp"]?.stringValue.flatMap { WallTime(rfc3339: $0) } ?? after.meta.creationTimestamp
    let age = started ? now.boot : bootTime(of: last)
    let wasEmpty = workloads.timers.time(of: .events) == nil
    workloads.events.ages.set(key, at: age)
    workloads.events.namespaces[key.namespace, default: (TimerQueue(), 0)].ages.set(key, at: age)
    if change.before == nil { workloads.events.namespaces[key.namespace]?.count += 1 }
    indexEvent(after, key)
    if wasEmpty || !started { armEventTimer() }
  }

  private static func group(of event: GenericObject) -> (EventGroup, message: String, isCombined: Bool) {
    let body = JSON.object(event.body)
    let message = body["message"]?.stringValue ?? ""
    let group = EventGroup(
      uid: body[path: ["involvedObject", "uid"]]?.stringValue ?? "", type: body["type"]?.stringValue ?? "",
      reason: body["reason"]?.stringValue ?? "",
      component: body[path: ["source", "component"]]?.stringValue ?? "")
    return (group, message, message.hasPrefix(EventIndex.combinedPrefix))
  }

  private mutating func indexEvent(_ event: GenericObject, _ key: ObjectKey) {
    let (group, message, isCombined) = Self.group(of: event)
    if isCombined {
      workloads.events.groups[group, default: EventIndex.Group()].combined = key
    } else {
      workloads.events.groups[group, default: EventIndex.Group()].messages[message] = key
    }
  }

  private mutating func unindexEvent(_ event: GenericObject, _ key: ObjectKey) {
    let (group, message, isCombined) = Self.group(of: event)
    if isCombined {
      if workloads.events.groups[group]?.combined == key { workloads.events.groups[group]?.combined = nil }
    } else if workloads.events.groups[group]?.messages[message] == key {
      workloads.events.groups[group]?.messages[message] = nil
    }
    if workloads.events.groups[group]?.isEmpty == true { workloads.events.groups[group] = nil }
  }
}
