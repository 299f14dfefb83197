"""Names and values for the corpus: real words, coined ones, and how they are pluralised.

Seven names in ten are coined. A model that only ever sees a closed word list learns the
list; one that cannot know the next table's name has to copy it from the schema.
"""

from random import Random

NOUNS = """singer concert album song actor movie director student teacher course school employee department company
office city country river mountain lake airport airline flight pilot hotel room guest booking restaurant dish recipe
ingredient customer product purchase invoice payment supplier shop store book author publisher library member loan
reader player team match coach stadium league doctor patient nurse hospital ward visit drug car driver garage owner
engine truck ship port captain cargo bridge road station train ticket passenger museum painting artist sculpture
gallery farm farmer crop field animal keeper zoo cage dog cat breeder breed garden plant tree forest ranger park trail
hike house tenant landlord apartment building architect tower project task manager worker machine factory part tool
contract client lawyer court judge trial law party voter region county district village planet star moon telescope
mission rocket crew game studio series episode channel host podcast show festival stage band instrument
teammate lecture professor university degree exam grade club event sponsor race runner horse jockey boat sailor island
cheese bakery baker bread cafe menu drink bottle cellar mine worker warehouse order shelf crate parcel courier
account bank branch card policy claim agent property auction bid lot coin stamp letter message user
device sensor reading server app version release bug ticket comment post photo camera lens comic hero villain power
spell wizard dragon castle knight king queen battle army soldier weapon bike rider tour route camp tent
""".split()

# Words the corpus never uses: schemas built from them measure copying of words never seen.
UNSEEN_NOUNS = """vineyard violin beehive lighthouse orchestra glacier submarine tapestry meteor cottage pharmacy
windmill tractor satellite mosaic""".split()
UNSEEN_COLUMNS = """mileage vintage balance humidity wingspan tuition altitude thickness voltage attendance
dialect flavor fabric motto habitat""".split()

PLURALS = frozenset("pages points goals wins seats floors sales hours minutes credits visits views likes".split())

ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k kl kr l m n p pl pr qu r s sh sk sl sm sn sp st t th tr v w y z"
VOWELS = "a a a e e e i i o o u u ai ea ee ia io oa oo ou"
CODAS = "- - - - b ck d f g l ll m n n nd ng nt p r r rd rk rn rt sh sk st t th x z"

FIRST_NAMES = """Ada Alan Alice Amir Anna Ben Bruno Carla Chen Clara Dana David Elena Emma Erik Eva Felix Fatima
George Grace Hana Hugo Ida Ivan Jack Jane Jonas Julia Kai Karen Lara Leo Lena Luca Maria Marco Mei Mila Nina Noah Olga
Omar Paul Petra Rosa Ryan Sara Sofia Tom Uma Vera Victor Wendy Yuki Zoe""".split()
CITIES = """Paris London Rome Berlin Madrid Vienna Oslo Tokyo Boston Chicago Dallas Denver Seattle Cairo Lima Quito
Athens Dublin Prague Warsaw Delhi Sydney Toronto Geneva Milan Naples Porto Seville Zurich Hamburg""".split()
COUNTRIES = """France Germany Italy Spain Norway Sweden Japan China India Brazil Peru Chile Egypt Kenya Canada Mexico
Poland Greece Turkey Ireland Portugal Austria Belgium Denmark Finland""".split()
THINGS = """red blue green black white silver gold rock jazz pop folk opera drama comedy horror action small large
medium open closed active retired new used public private gas steel wood glass paper cotton summer winter spring
gold local foreign basic premium soft hard sweet bitter round square modern classic digital manual""".split()


def coin(random: Random, syllables: int) -> str:
    """Return a made-up, pronounceable, lower-case word."""
    onsets, vowels, codas = ONSETS.split(), VOWELS.split(), CODAS.split()
    word = ""
    for index in range(syllables):
        onset = random.choice(onsets) if index or random.random() < 0.85 else ""
        coda = random.choice(codas) if index == syllables - 1 or random.random() < 0.3 else "-"
        word += onset + random.choice(vowels) + coda.strip("-")
    return word


def coined_name(random: Random) -> str:
    """Return a coined identifier: one word, or a compound joined by an underscore."""
    draw = random.random()
    if draw < 0.75:
        return coin(random, random.choice((2, 2, 2, 3)))
    if draw < 0.9:
        return f"{random.choice(NOUNS)}_{coin(random, 2)}"
    return f"{coin(random, 2)}_{random.choice(NOUNS)}"


def plural(word: str) -> str:
    """Return the plural of the last word of a phrase; `points` is one already."""
    if word.split()[-1] in PLURALS:
        return word
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def spoken(name: str) -> str:
    """Return an identifier the way a person says it."""
    return name.replace("_", " ")


def text_value(random: Random, kind: str) -> str:
    """Return a value for a text column; seven in ten are coined."""
    coined = random.random() < 0.7
    if kind == "person" and coined:
        return " ".join(coin(random, 2).capitalize() for _ in range(random.choice((1, 1, 2))))
    if kind == "person":
        first = random.choice(FIRST_NAMES)
        return first if random.random() < 0.5 else f"{first} {coin(random, 2).capitalize()}"
    if kind == "title":
        words = [
            random.choice(NOUNS + THINGS) if random.random() < 0.4 else coin(random, 2)
            for _ in range(random.choice((1, 1, 2, 3)))
        ]
        return " ".join(word.capitalize() for word in words)
    if kind == "place":
        if coined:
            return coin(random, random.choice((2, 2, 3))).capitalize()
        return random.choice(CITIES + COUNTRIES)
    word = coin(random, 2) if coined else random.choice(THINGS)
    return word.capitalize() if random.random() < 0.4 else word
