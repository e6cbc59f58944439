// Which images are fetched for which attempts, in which order, and what an attempt is told meanwhile: the kubelet's
// policies, back-off, reasons and words (pkg/kubelet/images/image_manager.go), with one fetch for all who wait for the
// same. Runs nothing: it gives orders, and is told how they went. Knows neither session nor keeper.

import ClusterProto

/// See the file's header.
struct ImagePulls {
  private struct Key: Hashable {
    var reference: ImageReference
    var credentials: [RegistryCredential]
  }

  private struct Pull {
    var key: Key
    var isRunning = false
    var waiters: Set<AttemptNumber> = []
  }

  private struct Failure: Equatable {
    var reason: String
    var message: String
    var retryAt: BootTime
  }

  private struct Wish {
    var request: ImageRequest
    var found: [String: ImageRecord] = [:]
    var pulls: [String: (number: PullNumber, since: BootTime)] = [:]
    var failures: [String: Failure] = [:]
  }

  let settings: ImageSettings
  private(set) var catalog = ImageCatalog()
  /// The host has said what it has.
  private(set) var isCatalogKnown = false
  private var backoff: PullBackoff
  private var wishes: [AttemptNumber: Wish] = [:]
  private var pulls: [PullNumber: Pull] = [:]
  private var numbers: [Key: PullNumber] = [:]
  private var queue: [PullNumber] = []
  private var running = 0
  private var lastPull: PullNumber = 0
  /// When an attempt's ErrImagePull becomes ImagePullBackOff.
  private var turns = TimerQueue<AttemptNumber>()
  /// When a fetch that nobody waits for any more is given up.
  private var lingering = TimerQueue<PullNumber>()
  private var orders: [ImageOrder] = []
  private var words: [ImageWord] = []

  init(_ settings: ImageSettings) {
    self.settings = settings
    backoff = PullBackoff(
      firstMilliseconds: settings.backoffMilliseconds, capMilliseconds: settings.backoffCapMilliseconds)
  }

  /// What was ordered since the last call, in order.
  mutating func takeOrders() -> [ImageOrder] {
    defer { orders = [] }
    return orders
  }

  /// What was said since the last call, in order.
  mutating func takeWords() -> [ImageWord] {
    defer { words = [] }
    return words
  }

  /// Fetches that go on or wait for their place.
  var count: Int { pulls.count }

  /// When `pass` has something to do.
  mutating func nextWake() -> BootTime? { earliest(turns.earliest(), lingering.earliest()) }

  /// The images that attempts were promised and have not begun to show in their statuses.
  var promised: Set<String> { Set(wishes.values.flatMap { $0.found.values.map(\.id) }) }

  /// The images that were found for an attempt so far.
  func found(for attempt: AttemptNumber) -> [String: ImageRecord] { wishes[attempt]?.found ?? [:] }
}

// MARK: - What attempts want

extension ImagePulls {
  /// An attempt wants these images, with the credentials that it has now. What it was given before stays its own.
  mutating func ask(_ attempt: AttemptNumber, _ request: ImageRequest, at now: BootTime) -> ImageAnswer {
    var wish = wishes[attempt] ?? Wish(request: request)
    wish.request = request
    let images = Set(request.images)
    for image in wish.pulls.keys.sorted() where !images.contains(image) { leave(image, attempt, &wish, now) }
    wish.found = wish.found.filter { images.contains($0.key) && catalog.records[$0.value.id] != nil }
    wish.failures = [:]
    wishes[attempt] = wish
    turns.cancel(attempt)
    return advance(attempt, now)
  }

  /// Nobody wants the attempt's images any more, or it runs. `keeps`: a fetch for it alone goes on for a while.
  mutating func release(_ attempt: AttemptNumber, keeps: Bool, at now: BootTime) {
    guard var wish = wishes.removeValue(forKey: attempt) else { return }
    turns.cancel(attempt)
    for image in wish.pulls.keys.sorted() { leave(image, attempt, &wish, now, keeps: keeps) }
  }

  private mutating func leave(
    _ image: String, _ attempt: AttemptNumber, _ wish: inout Wish, _ now: BootTime, keeps: Bool = false
  ) {
    guard let number = wish.pulls.removeValue(forKey: image)?.number else { return }
    // Two words of one manifest may stand for the same image.
    if wish.pulls.values.contains(where: { $0.number == number }) { return }
    pulls[number]?.waiters.remove(attempt)
    guard pulls[number]?.waiters.isEmpty == true else { return }
    if keeps { lingering.set(number, at: now + settings.lingerMilliseconds) } else { cancel(number) }
  }

  /// Looks at each image that is neither there, nor on its way, nor refused.
  private mutating func advance(_ attempt: AttemptNumber, _ now: BootTime) -> ImageAnswer {
    guard isCatalogKnown, var wish = wishes[attempt] else { return .waiting }
    for image in wish.request.images {
      guard wish.found[image] == nil, wish.pulls[image] == nil, wish.failures[image] == nil else { continue }
      look(for: image, attempt, &wish, now)
    }
    wishes[attempt] = wish
    return answer(wish)
  }

  private mutating func look(for image: String, _ attempt: AttemptNumber, _ wish: inout Wish, _ now: BootTime) {
    let reference: ImageReference
    do throws(ImageReference.Invalid) {
      reference = try ImageReference(image)
    } catch {
      let message = ImageReference.invalidMessage(image, error)
      wish.failures[image] = failure("InvalidImageName", message, now)
      return
    }
    let policy = wish.request.policy(of: image)
    if policy != .always, let record = catalog.find(reference) {
      wish.found[image] = record
      for need in wish.request.needs where need.image == image {
        say(attempt, need.container, "Pulled", "Container image \"\(image)\" already present on machine")
      }
      return
    }
    if policy == .never {
      let message = "Container image \"\(image)\" is not present with pull policy of Never"
      wish.failures[image] = failure("ErrImageNeverPull", message, now)
      return
    }
    if let pause = backoff.pause(of: PullBackoff.Key(podUID: wish.request.podUID, image: image), at: now) {
      wish.failures[image] = Failure(
        reason: "ImagePullBackOff", message: Self.backoffMessage(image, pause.error), retryAt: pause.until)
      return
    }
    let key = Key(reference: reference, credentials: wish.request.keyring.credentials(for: reference))
    wish.pulls[image] = (join(key, attempt), now)
    say(attempt, container(of: image, wish), "Pulling", "Pulling image \"\(image)\"")
  }

  private func failure(_ reason: String, _ message: String, _ now: BootTime) -> Failure {
    Failure(reason: reason, message: message, retryAt: now + settings.retryMilliseconds)
  }

  private static func backoffMessage(_ image: String, _ error: String) -> String {
    "Back-off pulling image \"\(image)\": ErrImagePull: \(error)"
  }

  private func container(of image: String, _ wish: Wish) -> String {
    wish.request.needs.first { $0.image == image }?.container ?? ""
  }

  private mutating func say(_ attempt: AttemptNumber, _ container: String, _ reason: String, _ message: String) {
    words.append(ImageWord(attempt: attempt, container: container, reason: reason, message: message))
  }

  private func answer(_ wish: Wish) -> ImageAnswer {
    let needs = wish.request.needs
    if let need = needs.first(where: { wish.failures[$0.image] != nil }), let failure = wish.failures[need.image] {
      let retryAt = wish.failures.values.map(\.retryAt).min() ?? failure.retryAt
      return .failed(
        PreparationFailure(
          container: need.container, reason: failure.reason, message: failure.message, isRetryable: true),
        retryAt: retryAt)
    }
    return wish.pulls.isEmpty ? .ready(wish.found) : .waiting
  }
}

// MARK: - Fetches

extension ImagePulls {
  private mutating func join(_ key: Key, _ attempt: AttemptNumber) -> PullNumber {
    let number: PullNumber
    if let known = numbers[key] {
      number = known
      lingering.cancel(known)
    } else {
      lastPull += 1
      number = lastPull
      numbers[key] = number
      pulls[number] = Pull(key: key)
      queue.append(number)
    }
    pulls[number]?.waiters.insert(attempt)
    startQueued()
    return number
  }

  private mutating func startQueued() {
    while running < max(1, settings.parallelPulls), let number = queue.first {
      queue.removeFirst()
      guard let key = pulls[number]?.key else { continue }
      pulls[number]?.isRunning = true
      running += 1
      orders.append(.pull(number, key.reference, key.credentials))
    }
  }

  private mutating func cancel(_ number: PullNumber) {
    guard let pull = drop(number) else { return }
    if pull.isRunning { orders.append(.cancel(number)) }
    startQueued()
  }

  /// Forgets a fetch, however it ended.
  private mutating func drop(_ number: PullNumber) -> Pull? {
    guard let pull = pulls.removeValue(forKey: number) else { return nil }
    numbers[pull.key] = nil
    lingering.cancel(number)
    if pull.isRunning { running -= 1 } else { queue.removeAll { $0 == number } }
    return pull
  }

  /// A fetch has succeeded. `bytes`: of the image, as its registry counts them. Gives what the attempts that waited
  /// for it are told now, in order.
  mutating func pulled(
    _ number: PullNumber, _ fetched: ImageRecord, milliseconds: Int64, bytes: Int64, at now: BootTime
  ) -> [(attempt: AttemptNumber, answer: ImageAnswer)] {
    guard let pull = drop(number) else { return [] }
    let record = Self.named(fetched, pull.key.reference)
    catalog.insert(record)
    startQueued()
    let waiters = pull.waiters.sorted().map { attempt in
      for image in images(of: number, attempt) {
        guard let wish = wishes[attempt], let since = wish.pulls[image]?.since else { continue }
        let (own, all) = (max(0, milliseconds), max(0, now - since))
        let text =
          "Successfully pulled image \"\(image)\" in \(DurationText.format(milliseconds: own)) "
          + "(\(DurationText.format(milliseconds: max(own, all))) including waiting). Image size: \(bytes) bytes."
        say(attempt, container(of: image, wish), "Pulled", text)
        wishes[attempt]?.pulls[image] = nil
        wishes[attempt]?.found[image] = record
      }
      return (attempt: attempt, answer: advance(attempt, now))
    }
    return (waiters + satisfied(now)).sorted { $0.attempt < $1.attempt }
  }

  /// Whoever may take what is there by now need not wait for his next try.
  private mutating func satisfied(_ now: BootTime) -> [(attempt: AttemptNumber, answer: ImageAnswer)] {
    var changed: [(attempt: AttemptNumber, answer: ImageAnswer)] = []
    for attempt in wishes.keys.sorted() {
      guard var wish = wishes[attempt] else { continue }
      let come = wish.failures.keys.sorted().filter { image in
        guard wish.request.policy(of: image) != .always, let reference = try? ImageReference(image) else {
          return false
        }
        return catalog.find(reference) != nil
      }
      guard !come.isEmpty else { continue }
      for image in come { wish.failures[image] = nil }
      wishes[attempt] = wish
      changed.append((attempt, advance(attempt, now)))
    }
    return changed
  }

  /// Found by what it was asked for, whatever its registry calls it.
  private static func named(_ record: ImageRecord, _ reference: ImageReference) -> ImageRecord {
    var record = record
    let text = reference.text
    if reference.digest == nil {
      if !record.tags.contains(text) { record.tags = (record.tags + [text]).sorted() }
    } else if !record.digests.contains(text) {
      record.digests = (record.digests + [text]).sorted()
    }
    return record
  }

  /// A fetch has failed; as `pulled`.
  mutating func failed(
    _ number: PullNumber, message: String, at now: BootTime
  ) -> [(attempt: AttemptNumber, answer: ImageAnswer)] {
    guard let pull = drop(number) else { return [] }
    backoff.forgetOld(at: now)
    startQueued()
    return pull.waiters.sorted().map { attempt in
      for image in images(of: number, attempt) {
        guard let podUID = wishes[attempt]?.request.podUID else { continue }
        let key = PullBackoff.Key(podUID: podUID, image: image)
        backoff.failed(key, error: message, at: now)
        wishes[attempt]?.pulls[image] = nil
        wishes[attempt]?.failures[image] = Failure(
          reason: "ErrImagePull", message: message,
          retryAt: backoff.pause(of: key, at: now)?.until ?? now + settings.backoffMilliseconds)
        turns.set(attempt, at: now + settings.errorShownMilliseconds)
      }
      return (attempt, advance(attempt, now))
    }
  }

  private func images(of number: PullNumber, _ attempt: AttemptNumber) -> [String] {
    guard let wish = wishes[attempt] else { return [] }
    return wish.request.images.filter { wish.pulls[$0]?.number == number }
  }

  /// The host has said what it has: at its start, and after each change. As `pulled`, for all that waited for it.
  mutating func listed(
    _ records: [ImageRecord], at now: BootTime
  ) -> [(attempt: AttemptNumber, answer: ImageAnswer)] {
    catalog.replace(by: records)
    if isCatalogKnown { return satisfied(now) }
    isCatalogKnown = true
    return wishes.keys.sorted().map { ($0, advance($0, now)) }
  }

  /// An image is asked to go: nobody finds it from here on.
  mutating func leave(_ id: String) { catalog.leave(id) }

  /// What time asks for. As `pulled`, for the attempts whose failure has another name now.
  mutating func pass(at now: BootTime) -> [(attempt: AttemptNumber, answer: ImageAnswer)] {
    while let number = lingering.popDue(at: now) { cancel(number) }
    var changed: [(attempt: AttemptNumber, answer: ImageAnswer)] = []
    while let attempt = turns.popDue(at: now) {
      guard var wish = wishes[attempt] else { continue }
      for image in wish.request.images {
        guard let failure = wish.failures[image], failure.reason == "ErrImagePull" else { continue }
        wish.failures[image]?.reason = "ImagePullBackOff"
        wish.failures[image]?.message = Self.backoffMessage(image, failure.message)
      }
      wishes[attempt] = wish
      changed.append((attempt, answer(wish)))
    }
    return changed
  }
}

// MARK: - For the tests of what must always hold

extension ImagePulls {
  /// What is wrong with the bookkeeping; empty when nothing is.
  var problems: [String] {
    var found: [String] = []
    let started = pulls.values.filter(\.isRunning).count
    if started != running { found.append("\(started) fetches run and \(running) are counted") }
    if running > max(1, settings.parallelPulls) { found.append("\(running) fetches run at once") }
    if running < max(1, settings.parallelPulls), !queue.isEmpty { found.append("a fetch waits beside a free place") }
    if pulls.count != numbers.count { found.append("\(pulls.count) fetches have \(numbers.count) names") }
    for number in pulls.keys.sorted() {
      guard let pull = pulls[number] else { continue }
      if pull.waiters.isEmpty, lingering.time(of: number) == nil { found.append("nobody waits for fetch \(number)") }
      for attempt in pull.waiters.sorted()
      where wishes[attempt]?.pulls.values.contains(where: { $0.number == number }) != true {
        found.append("attempt \(attempt) does not know that it waits for fetch \(number)")
      }
    }
    for attempt in wishes.keys.sorted() {
      for (_, pull) in wishes[attempt]?.pulls.sorted(by: { $0.key < $1.key }) ?? []
      where pulls[pull.number]?.waiters.contains(attempt) != true {
        found.append("attempt \(attempt) waits for fetch \(pull.number), which does not know it")
      }
    }
    return found
  }
}
