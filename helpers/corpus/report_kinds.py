"""Kinds of report that need no police, from repairs to football, with the same parts."""
from __future__ import annotations

from dataclasses import replace

from helpers.corpus.report_crimes import ACCIDENT, VIOLENCE, Kind, sentences, words

MAINTENANCE = Kind(
    event="Fault", official="Technician", titles=("", "", "Eng.", "Technician", "Senior Technician", "Mr.", "Ms."),
    number=("Employee", "ID"), number_forms=("employee {id}", "staff ID {id}", "ID {id}", "#{id}"), subject="Client",
    business=0.6, witness="Operator", items_label=("Parts", "Used"),
    items_headings=("Parts Used", "Materials", "Replaced Parts", "Spare Parts"), described="Equipment",
    person_described=False,
    people=words("caretaker; site manager; tenant; night porter"),
    types=words("""
        Leak; Overheating; Electrical Fault; Worn Bearing; Blocked Filter; Calibration; Routine Service; Software
        Error; Noise"""),
    things=words("""
        boiler; passenger lift; conveyor; chiller; water pump; compressor; dishwasher; forklift; fume hood; roller
        shutter"""),
    places=words("""
        hospital laundry; paper mill; swimming pool; office tower; bottling plant; school kitchen; cold store;
        theatre"""),
    spots=words("plant room; roof; basement; control cabinet; machine hall; service shaft; pump house; boiler room"),
    items=words("""
        ~drive belt; gasket set; ~pressure valve; fuse {code}; bearing {code}; ~inlet filter; ~hose clamp; ~relay;
        thermostat; circuit board {code}; litre of gear oil; copper pipe; ~door sensor; ~fan blade; cable gland;
        ~seal ring"""),
    statuses=words("Completed; In Progress; Waiting for Parts; Deferred; Closed; Handed Over; Needs Follow-up"),
    summaries=sentences("""
        The {thing} in the {spot} [stopped|failed|shut down] [without warning|during a test run].
        A [worn|broken] part in the {thing} was replaced and the {place} is back in use.
        The {thing} was serviced after complaints about [noise|smell|low pressure] in the {spot}."""),
    body=sentences("""
        The {thing} [was isolated|was drained|cooled down] before the cover came off.
        A test run until {clock} showed no further [leak|alarm|vibration].
        Readings in the {spot} were {n} percent [above|below] the limit.
        A second {thing} in the {spot2} shows [early|the same] signs of wear.
        The spare came from {company2} under order {code}.
        The log shows a similar stop on {day}."""),
    steps=sentences("""
        Check the {thing} again after {n} [operating hours|days].
        Order a second [seal|filter|sensor] for the store."""),
    endings=sentences("""
        The {thing} may be used without limits.
        The {spot} was left clean and [locked|lit]."""))

MEDICAL = Kind(
    event="Visit", official="Doctor", titles=("Dr.", "Dr.", "Dr.", "Nurse", "Prof."), number=("License", "Number"),
    number_forms=("license {id}", "reg. no. {id}", "License #{id}", "ID {id}"), subject="Patient", business=0.0,
    witness="Relative", items_label=("Symptoms",), items_headings=("Symptoms", "Presenting Complaints", "Complaints"),
    described="Aid", person_described=False,
    people=words("office worker; carpenter; dancer; pensioner; violin teacher; cook; warehouse worker"),
    types=words("""
        Check-up; Emergency Visit; Follow-up; Vaccination; Physiotherapy; Eye Test; Telephone Consultation; Dental
        Check"""),
    things=words("knee brace; inhaler; bandage; hearing aid; blood pressure cuff; wrist splint; wheelchair"),
    places=words("clinic; ward; day surgery; walk-in centre; eye hospital; rehabilitation centre"),
    spots=words("left knee; right shoulder; lower back; left ear; forearm; right hip; jaw; left thumb"),
    items=words("""
        ~dry cough; ~mild fever; pain in the {spot}; dizziness; ~swollen ankle; blurred vision; ~skin rash; loss of
        appetite; ~sore throat; ~stiff neck; ringing in the ears; shortness of breath; numb fingers; back pain"""),
    statuses=words("Discharged; Stable; Referred; Under Observation; Recovering; Admitted; Follow-up Needed"),
    summaries=sentences("""
        The {subject_word} came to the {place} with [pain|stiffness|swelling] that had [grown worse|lasted for \
            {n} days].
        A {n}-day-old [injury|complaint] was examined and {a_thing} was [prescribed|fitted].
        The {subject_word} [recovered well|felt better] and needs {a_thing} for [some days|{n} more weeks]."""),
    body=sentences("""
        Blood pressure was measured at {clock} and [again before leaving|found normal].
        The {thing} caused [no|slight] discomfort.
        {Subject_again} [sleeps badly|works at night|does not smoke] and takes no other medicine.
        A similar episode on {day} [passed|ended] without treatment.
        {Official_again} explained how to use the {thing}."""),
    steps=sentences("""
        [Rest|Gentle exercise] for {n} days.
        {Subject_again} should return if the [pain|fever] comes back.
        A blood test is planned."""),
    endings=sentences("""
        The [outlook|prognosis] is good.
        No further treatment is needed [at present|for now]."""))

CLAIM = Kind(
    event="Claim", official="Adjuster", titles=("", "Mr.", "Ms.", "Mrs.", "Adjuster"), number=("Agent", "Code"),
    number_forms=("agent code {id}", "code {id}", "agent {id}"), subject="Claimant", business=0.5,
    witness="Neighbour", items_label=("Damaged", "Items"),
    items_headings=("Damaged Items", "Items Claimed", "Property Claimed", "List of Losses"), described="Property",
    person_described=False,
    people=words("policyholder; landlord; tenant; restaurant owner; boat owner"),
    types=words("Water Damage; Fire; Storm; Burglary; Glass Breakage; Lost Luggage; Liability; Hail; Frost Damage"),
    things=words("""
        roof; ceiling; kitchen floor; piano; carpet; freezer; garden shed; display case; sailing boat; stage
        curtain"""),
    places=words("cottage; warehouse; dance studio; holiday flat; bookshop; workshop; bistro; marina"),
    spots=words("attic; cellar; ground floor; storeroom; terrace; bathroom; showroom; loft"),
    items=words("""
        ~oak table; {n} metres of carpet; freezer contents; ~wall clock; ~sound system; ~leather sofa; bookshelf;
        ~coffee machine; set of curtains; ~framed print; ~washing machine; tool cabinet; ~antique lamp; box of wine"""),
    statuses=words("Approved; Rejected; Under Review; Paid; Awaiting Documents; Settled; Open"),
    summaries=sentences("""
        [A burst pipe|A storm|Frost|A blocked drain] [damaged|ruined] the {thing} of {a_place}.
        Water from the {spot} reached the {thing} and left {a_thing2} [useless|stained].
        The {subject_word} claims for {a_thing} [broken|lost] during [a move|a storm] at {a_place}."""),
    body=sentences("""
        The {spot} was dry again by {clock}.
        A quotation from {company2} covers the {thing} only.
        The policy was last renewed on {day}.
        Photographs show the {thing} before and after the [event|damage].
        Wear of the {thing2} is [not covered|deducted]."""),
    steps=sentences("""
        Receipts for the {thing} must follow within {n} days.
        {Official_again} will visit the {spot} once more."""),
    endings=sentences("""
        The sum will be paid [after|once] the papers are complete.
        Cover for the {spot} is [confirmed|in doubt]."""))

INSPECTION = replace(
    MAINTENANCE,
    event="Inspection", official="Inspector", titles=("Inspector", "", "Dr.", "Ms.", "Mr."),
    number=("Permit", "Number"), number_forms=("permit {id}", "Permit No. {id}", "ID {id}"), subject="Establishment",
    business=1.0, witness="Attendee", items_label=("Findings",),
    items_headings=("Findings", "Defects Found", "Violations", "Observations"), described="Object",
    people=words("licence holder; head cook; farm manager"),
    types=words("""
        Food Hygiene; Fire Safety; Building Check; Animal Welfare; Air Quality; Playground Safety; Annual Audit;
        Lift Test"""),
    items=words("""
        ~blocked fire exit; ~missing label; expired extinguisher; unlit stairway; loose handrail; mould in the
        {spot}; uncovered food bins; ~faulty smoke detector; cracked tiles; no hot water in the {spot}; worn
        electrical cable"""),
    statuses=words("Passed; Failed; Passed with Conditions; Re-inspection Required; Closed; Pending"),
    summaries=sentences("""
        The {place} [met|did not meet] the requirements because of the state of the {spot}.
        [Minor|Serious|No serious] defects were found in the {spot} and near the {thing}.
        A [planned|surprise] visit to the {place} showed that the {thing} [needs repair|is in good order]."""),
    steps=sentences("""
        The {thing} must be [repaired|checked] within {n} days.
        A second visit to the {spot} will follow."""),
    endings=sentences("""
        The licence [stays valid|is suspended].
        All defects are to be put right at the owner's cost."""))

MATCH = Kind(
    event="Match", official="Referee", titles=("", "Mr.", "Ms.", "Referee"), number=("Licence", "Number"),
    number_forms=("licence {id}", "No. {id}", "ref. {id}"), subject="Player", business=0.0, witness="Assistant",
    items_label=("Offences",), items_headings=("Offences", "Cards and Penalties", "Sanctions"), described="Offender",
    person_described=True, ages=(16, 38),
    people=words("goalkeeper; captain; left winger; substitute; defender"),
    types=words("League Match; Friendly; Cup Final; Quarter-final; Youth Match; Relay; Exhibition Match; Semi-final"),
    things=words("corner flag; goal net; scoreboard; ball; floodlight; team bus"),
    places=words("stadium; sports hall; school field; ice rink; town arena"),
    spots=words("penalty area; centre circle; touchline; dressing room; main stand; bench"),
    items=words("""
        yellow card for holding; red card for a late tackle; time wasting; dissent; foul near the {spot}; illegal
        substitution; throwing the {thing}; entering the {spot} without leave; two-minute suspension"""),
    statuses=words("Final; Abandoned; Postponed; Result Confirmed; Under Appeal; Replay Ordered"),
    summaries=sentences("""
        The home side [won|lost|drew] after a [goal|mistake] in minute {n}.
        Play was [stopped|interrupted] when the {thing} [broke|failed].
        A [late|disputed] goal from the {spot} decided the game."""),
    body=sentences("""
        The second half began at {clock} because the {thing} had to be [repaired|replaced].
        About {n} hundred people watched from the {spot}.
        {Subject_again} [limped off|was replaced|scored twice] in minute {n}.
        The earlier meeting on {day} had ended level.
        The visiting coach, {person}, [praised|criticised] the crowd."""),
    steps=sentences("""
        The [league|panel] will decide on a ban.
        The {thing} must be [renewed|inspected] before the next round."""),
    endings=sentences("""
        The teams shook hands.
        The result stands [unless an appeal is lodged|as recorded]."""))

DELIVERY = Kind(
    event="Complaint", official="Agent", titles=("", "", "Ms.", "Mr.", "Agent"), number=("Employee", "ID"),
    number_forms=("agent {id}", "ID {id}", "desk {id}", "#{id}"), subject="Customer", business=0.35,
    witness="Recipient", items_label=("Missing", "Items"),
    items_headings=("Missing Items", "Affected Goods", "Products", "Items Reported"), described="Package",
    person_described=False,
    people=words("first-time buyer; restaurant owner; student; pensioner"),
    types=words("""
        Late Delivery; Damaged Parcel; Wrong Item; Lost Parcel; Rude Service; Overcharge; Incomplete Order; Cold
        Food"""),
    things=words("parcel; crate; food order; mattress; bookcase; flower box; pallet"),
    places=words("depot; parcel shop; front garden; office lobby; flat"),
    spots=words("doorstep; porch; gate; reception desk; bicycle shed; letter box; ramp"),
    items=words("""
        ~ceramic bowl; ~phone charger; pack of {n} screws; ~lamp shade; green tea; desk leg; ~winter coat; jar of
        honey; pair of boots; ~birthday card; {word} kit; set of towels; coffee beans; noodle soup"""),
    statuses=words("Open; Resolved; Refunded; Escalated; Replacement Sent; Closed; Waiting for Customer"),
    summaries=sentences("""
        The {thing} [arrived {n} days late|never arrived|was left in the rain].
        The {subject_word} received {a_thing} meant for [someone else|another street].
        Part of the {thing} was [broken|missing] when it reached the {place}."""),
    body=sentences("""
        The courier [rang once|left no card|refused to wait] and put the {thing} by the {spot}.
        Tracking number {code} still shows the {thing} at the {place}.
        {Subject_again} called at {clock} and waited {n} minutes.
        An earlier order of {day} came without trouble.
        The driver for {company2} gave his name as {person}."""),
    steps=sentences("""
        Send a [replacement|refund] within {n} days.
        {Official_again} will [ring|write to] the depot about the {thing}."""),
    endings=sentences("""
        {Subject_again} accepted [a voucher|the apology].
        The [case|complaint] will be reviewed by the [shift|team] lead."""))

LAB = Kind(
    event="Experiment", official="Researcher", titles=("Dr.", "Prof.", "", "Ms."), number=("Lab", "ID"),
    number_forms=("lab ID {id}", "ID {id}", "station {id}"), subject="Participant", business=0.1, witness="Observer",
    items_label=("Materials",), items_headings=("Materials", "Samples", "Apparatus", "Instruments"),
    described="Device", person_described=False,
    people=words("volunteer; first-year student; control subject"),
    types=words("""
        Titration; Growth Trial; Stress Test; Memory Test; Calibration Run; Field Test; Spectroscopy; Taste Panel"""),
    things=words("spectrometer; incubator; pendulum; centrifuge; soil column; sensor array"),
    places=words("teaching lab; greenhouse; clean room; field station"),
    spots=words("fume hood; bench three; cold room; dark chamber; balance table; window shelf"),
    items=words("""
        distilled water; {n} ml of ethanol; copper wire; ~petri dish; ~stopwatch; litmus paper; filter {code};
        ~glass rod; sample {code}; thermometer; sea salt; bean seedlings; ~laser pointer"""),
    statuses=words("Completed; Aborted; Repeated; Inconclusive; In Progress; Awaiting Analysis"),
    summaries=sentences("""
        The {thing} [confirmed|contradicted] the expected [trend|value] within {n} percent.
        [Growth|Temperature|Reaction time] [rose|fell] steadily during the run.
        The run was stopped because the {thing} [drifted|overheated]."""),
    body=sentences("""
        The {thing} was warmed up until {clock}.
        Reading {n} was [discarded|repeated] after a draught from the {spot}.
        The series of {day} gave [higher|lower] values.
        Results were stored under {code}.
        The {thing} was borrowed from {company2}."""),
    steps=sentences("""
        Repeat with {n} samples.
        {Official_again} will recalibrate the {thing}."""),
    endings=sentences("""
        The data support the [first|second] hypothesis.
        More runs are needed."""))

EXPEDITION = Kind(
    event="Expedition", official="Leader", titles=("", "Capt.", "Dr.", "Guide", "Ranger"),
    number=("Permit", "Number"), number_forms=("permit {id}", "permit no. {id}", "pass {id}"), subject="Hiker",
    business=0.0, witness="Companion", items_label=("Equipment", "Lost"),
    items_headings=("Equipment", "Gear Lost", "Finds", "Supplies"), described="Gear", person_described=False,
    people=words("porter; geologist; photographer; beginner; ornithologist"),
    types=words("""
        Summit Attempt; River Crossing; Cave Survey; Bird Count; Rescue; Glacier Walk; Sea Passage; Camp Move"""),
    things=words("tent; canoe; radio; sledge; rope ladder; stove; compass"),
    places=words("base camp; mountain hut; river delta; glacier; island; gorge"),
    spots=words("north ridge; landing place; upper camp; cave mouth; ford; saddle; moraine"),
    items=words("""
        ~ice axe; ~water filter; {n} tins of beans; ~blue tarpaulin; ~head torch; ~signal flare; map of the {spot};
        bird skull; quartz crystal; ~broken ski; length of rope; ~spare battery; snow goggles"""),
    statuses=words("On Schedule; Delayed; Turned Back; Completed; Missing; Safe; Resting"),
    summaries=sentences("""
        The party [reached|left] the {spot} with {a_thing} [damaged|missing].
        [Fog|Wind|High water] forced the group back to the {place}.
        {A_thing} was lost while crossing the {spot}."""),
    body=sentences("""
        We [rested|waited] at the {spot} until {clock}.
        The {thing} was repaired with [wire|tape|string].
        {Subject_again} [felt unwell|led the way|stayed behind].
        Supplies ordered from {company2} should last {n} days.
        Tracks from {day} were still visible near the {spot2}."""),
    steps=sentences("""
        Move the {thing} to the {spot2} at first light.
        Send word to the {place} by radio."""),
    endings=sentences("""
        Spirits are [high|low].
        All are [well|tired but safe]."""))

OUTAGE = replace(
    MAINTENANCE,
    event="Outage", official="Engineer", titles=("", "", "Ms.", "Mr.", "Engineer"), number=("Staff", "Number"),
    subject="Customer", witness="Reporter", items_label=("Affected", "Services"),
    items_headings=("Affected Services", "Systems Affected", "Services Down"), described="Device",
    people=words("remote worker; lab head; web shop owner"),
    types=words("Network Outage; Data Loss; Login Failure; Slow Response; Power Cut; Security Alert; Failed Update"),
    things=words("router; mail server; database; load balancer; storage array; backup job; print server"),
    places=words("data centre; branch office; campus; call centre"),
    spots=words("rack {n}; server room; second floor; west wing; test network"),
    items=words("""
        payroll portal; e-mail; booking system; guest Wi-Fi; file share; door access; phone lines; {word}
        dashboard; host {code}"""),
    statuses=words("Resolved; Monitoring; Investigating; Mitigated; Open; Closed"),
    summaries=sentences("""
        The {thing} [stopped answering|restarted by itself|ran out of space] and users of the {place} were [cut \
            off|logged out].
        A [wrong|missing] setting on the {thing} [slowed down|blocked] the {place}."""),
    steps=sentences("""
        Add an alarm for the {thing}.
        {Official_again} will [test|document] the restart."""),
    endings=sentences("""
        Service is [stable|back to normal]."""))

SCHOOL = replace(
    VIOLENCE,
    event="Incident", official="Teacher", titles=("Mr.", "Ms.", "Mrs.", "Miss", "Coach"), number=("Room", "Number"),
    number_forms=("room {id}", "Room {id}"), subject="Student", business=0.0, items_label=("Action", "Taken"),
    items_headings=("Actions Taken", "Measures", "Steps Taken"), described="Object", person_described=False,
    ages=(6, 18),
    people=words("Year 7 pupil; exchange student; class captain"),
    types=words("Bullying; Injury; Absence; Lost Property; Damage; Cheating; Late Arrival; Playground Accident"),
    things=words("ladder; skipping rope; lunch box; football; microscope; rucksack; paint pot"),
    places=words("playground; science room; school bus; gym; canteen"),
    spots=words("climbing frame; corridor; cloakroom; back row; bike stand; stage"),
    items=words("""
        call to the parents; ~cold compress; ~written warning; talk with the class; ~seat change; apology letter;
        visit to the school nurse; loan of {a_thing}; detention"""),
    statuses=words("Closed; Parents Informed; Open; Under Review; Resolved"),
    summaries=sentences("""
        A [game|lesson] in the {place} ended when {a_thing} [fell|broke].
        The {subject_word} [tripped over|dropped] {a_thing} near the {spot}.
        Two classes disagreed about {a_thing} at the {spot}."""),
    body=sentences("""
        The bell had rung at {clock} and the {spot} was [crowded|empty].
        {Subject_again} [was calm|cried|laughed] and went back to class.
        The {thing} belongs to {person}.
        A similar case was noted on {day}."""),
    steps=sentences("""
        {Official_again} will speak with the class.
        The {thing} will be kept [in the office|out of reach]."""),
    endings=sentences("""
        No further action is planned."""))

OTHERS = (ACCIDENT, MAINTENANCE, MEDICAL, CLAIM, INSPECTION, MATCH, DELIVERY, LAB, EXPEDITION, OUTAGE, SCHOOL)
