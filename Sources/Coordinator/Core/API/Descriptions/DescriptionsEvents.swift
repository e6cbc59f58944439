// Descriptions of Events in both groups. Data, no behaviour.

extension Descriptions {
  static let events = """
    Event: Event tells of something that happened to an object. Events are kept for an hour.
      involvedObject: The object that it is about.
      reason: One word on what happened.
      message: The same for people.
      source: Who tells it.
      firstTimestamp: When it happened first.
      lastTimestamp: When it happened last.
      count: How often it happened.
      type: Normal or Warning.
      eventTime: When it happened, to the microsecond.
      series: How a thing that happens again and again goes on.
      action: What was done.
      related: Another object that has to do with it.
      reportingComponent: The program that tells it.
      reportingInstance: Which of several.
    EventSource: EventSource is who tells of an event.
      component: The program.
      host: The node.
    EventSeries: EventSeries is a thing that happens again and again.
      count: How often so far.
      lastObservedTime: When last.
    EventsEvent: Event tells of something that happened to an object; the same events are those of v1.
      eventTime: When it happened, to the microsecond.
      series: How a thing that happens again and again goes on.
      reportingController: The program that tells it.
      reportingInstance: Which of several.
      action: What was done.
      reason: One word on what happened.
      regarding: The object that it is about.
      related: Another object that has to do with it.
      note: For people: what happened.
      type: Normal or Warning.
      deprecatedSource: As source of v1.
      deprecatedFirstTimestamp: As firstTimestamp of v1.
      deprecatedLastTimestamp: As lastTimestamp of v1.
      deprecatedCount: As count of v1.
    """
}
