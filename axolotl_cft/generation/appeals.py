"""How a prompt asks something of its reader, by language: words and patterns as data (pure).

All are lower case, for text in lower case. What stands here is lenient: an appeal that is found
where none was meant lets an answer pass, and one that is not found costs a good prompt.
"""

from collections.abc import Mapping

VERBS = """
accept account acquaint act add address adopt aim align allocate allow analyse analyze anchor
annotate answer anticipate apply appraise appreciate approach argue arrange articulate ask assemble
assess assign assume attempt attend avoid balance be bear become begin believe beware brainstorm
break bring browse build calculate capture catch categorise categorize challenge chart check choose
cite clarify classify close collect come compare complete compute conceive concentrate confuse
connect consider construct consult contemplate contextualise contextualize continue contrast convert
convince copy correlate count cover create criticise criticize critique cross cultivate debate
decide decipher decode deconstruct deduce deepen defend define delay delve derive describe detect
determine develop devise devote diagram differentiate digest discern discover discriminate discuss
disentangle dismantle dispute dissect distil distill distinguish distrust dive divide do document
doubt draft draw dwell elaborate embrace employ engage enjoy enter enumerate envision establish
estimate evaluate examine exercise expect experience explain explore extend extract extrapolate
familiarise familiarize feel figure fill find finish fix focus follow foreground forget form
formulate gather gauge get give go grapple grasp group guess harness have hear heed highlight hold
hunt hypothesise hypothesize identify ignore illustrate imagine immerse infer inhabit inquire
inspect integrate internalise internalize interpret interrogate interrupt introduce investigate
isolate itemise itemize jot judge juxtapose keep know label lay lean learn leave let limit linger
link list listen live locate look lose make map mark master match measure meditate memorise memorize
mentally mind model monitor move mull nail name navigate note notice number observe open order
organise organize orient outline overlay paraphrase parse pause pay peel peer perceive permit
persist pick picture piece pin pinpoint pitch place plan play plot ponder pose position practice
practise praise predict prefer prepare pretend prioritise prioritize probe proceed process produce
project prove pry pull pursue put puzzle query question quiz quote raise rank rate re-read reach
read realise realize reason rebuild recall recap recast recite reckon recognise recognize recollect
recompute reconcile reconsider reconstruct record redo redraw refer reflect reformulate reframe
refuse rehearse reject relate rely remain remember remind repeat rephrase replace represent
reproduce reread research resist resolve respond restate retell retrace return review revisit rewind
rewrite role-play ruminate run sample savor savour say scan scour scrutinise scrutinize search see
seek select send separate set settle shadow share sharpen shift show sift simplify simulate single
sit situate sketch skim skip slow soak solve sort sound speak specify spend split spot spotlight
stand stare start state stay stem step stick stop stress strip strive study substitute subtract sum
summarise summarize suppose surmise survey suspend swap synthesise synthesize tabulate tackle tag
take tally tap target taste teach tease tell tempt tend test think tick tie time touch trace track
translate travel treat trust try turn uncover underline underscore understand unearth unfold unlock
unmask unpack unpick unravel untangle untwist unwrap use utilise utilize value venture verify view
visualise visualize voice wait walk watch weigh wonder work wrestle write yield zoom
"""
"""English verbs that begin an instruction."""

SOFTENERS = """
please first firstly second secondly third next now then and but or so just always never also
instead only simply finally perhaps ideally together again don't do not even rather try to
"""
"""What may stand before them; so may adverbs in -ly."""

FOLLOWERS = """
the a an each every how what why which who whose when whether your yourself it them him all both
any no its their his her those these twice carefully closely only between through beyond against
"""
"""What follows an English verb rather than a noun: with it, a rare verb counts as one too."""

STATEMENTS: Mapping[str, str] = {
    "en": """
        the a an this that these those it its it's there here in on at for from by with as he she
        they his her their our we i one two three four five many most some few several all both
        each every no none not yes because since when while although though if after before during
        under over between among within without about like through who what which where why how
        such another other more less much only even just nearly almost
    """,
    "de": """
        der die das dem den des ein eine einer einem einen eines im in am an auf es er sie
        dies diese dieser dieses diesem hier nach vor bei mit von vom zu zum zur aus als
        wenn weil da ja nein durch für seit unter über während viele einige alle beide
        zwei drei erst schon man jede jeder jedes kein keine thema gegenstand inhalt text
        autor autorin verfasser artikel heute später danach dabei damit dadurch daher
        deshalb doch aber auch immer oft manche etwa neben zwischen bis ohne um trotz
        wegen laut beim ihre seine seinen ihren unser mein so dann dort jedoch zudem
        außerdem alles etwas niemand jemand
    """,
    "fr": """
        le la les l'auteur un une des du de ce cet cette ces c'est il elle ils elles on
        dans en au aux à après avant pendant depuis par pour oui non parce car selon deux
        trois plusieurs certains chaque sa son ses leur aujourd'hui ainsi cependant
        toutefois mais quand lorsque comme malgré entre chez vers sous sur dont plus
        nombreux beaucoup quelques tous toutes cela ceci ici grâce
    """,
    "es": """
        el la los las lo un una unos unas se este esta estos estas esto es son en a al de
        del por para con sí si no porque según dos tres varios su sus durante tras desde
        hay aquí hoy así sin aunque pero cuando como mientras entre sobre hasta muchos
        muchas algunos algunas cada todo todos todas antes después además actualmente más
        ya también ese esa
    """,
    "pt": """
        o a os as um uma uns umas este esta estes estas isto é são em no na nos nas de do
        da por para com sim não porque segundo dois três vários seu sua durante após desde
        há aqui hoje assim sem embora mas quando como enquanto entre sobre até muitos
        muitas alguns algumas cada todo todos todas antes depois além atualmente mais já
        também esse essa ao aos às nesse nessa
    """,
    "it": """
        il lo la i gli le un uno una si questo questa questi queste è sono in nel nella
        nei a al alla di del della per con sì no perché secondo due tre vari suo sua
        durante dopo dal dalla ci c'è qui negli nelle nello agli alle allo ai dagli dalle
        dai degli delle dei dello sul sulla sui sulle oggi così inoltre tuttavia ma quando
        mentre anche alcuni alcune molti molte ogni tutti tutte tra fra su
    """,
    "nl": """
        de het een dit deze dat die er hij zij ze is in op aan bij met van voor door na ja
        nee omdat volgens twee drie sinds tijdens hier maar ook nu later daarna toch veel
        sommige alle elke hun haar onder tussen zonder om tot over vanaf al zo wanneer
        toen terwijl hoewel
    """,
}
"""By language, the words with which a statement begins: elsewhere a rare imperative passes."""

APPEALS: Mapping[str, str] = {
    "en": r"""
        ^(?:what|which|who|whose|how|why|when|where|in what way)(?: (?:role|part|extent|far|much
            |many
            |kind of \w+|\w+s))? (?:do|does|did|is|are|was|were|would|could|should|can|will|might
            |has
            |have)\b
        (?:you|your|yours|yourself|yourselves|you'\w+)\b
        (?:let's|let us)\b
        we (?:want|shall|will|need|must|should|can|may|might|begin|ask|are going)\b
        (?:readers?|learners?|students?|one) (?:\w+ly )?(?:will|should|must|may|might|can|needs?
            |ought|has)\b
        worth \w+ing\b
        (?:pays?|helps?|wise|best|useful|important|tempting|essential|crucial|good) to\b
        (?:goal|aim|task|point|trick|challenge|key|job|purpose|thing|idea)\b[^.]{0,30}\bis (?:to
            |how|what|whether|why)\b
        to be (?:read|studied|heard)\b
    """,
    "de": r"""
        (?:du|dich|dir|dein\w{0,2}|euch|eure[nrms]?|uns|wir)\b
        man (?:\w+e|sollte|muss|kann)\b(?<!wurde)(?<!hatte)(?<!konnte)
        (?:acht|überleg|prüf|verfolg|vergleich|halt|such|frag|denk|merk|beacht|bedenk|betracht
            |untersuch|analysier|konzentrier|fokussier|notier|ordn|zeichn|trenn|unterscheid
            |versuch
            |erklär|stell|entscheid|beobacht|lern|les|schau|hör|nenn|fass|mach|geh|bestimm
            |erarbeit
            |ermittl|erkenn|erkund|hinterfrag|identifizier|leg|markier|nutz|reflektier|richt|setz
            |skizzier|verknüpf|versetz|verschaff|vertief|widm|zerleg|zieh|zähl|rechn|schreib|spür
            |verbind|übertrag|wiederhol|rekonstruier|deut|wäg|gliedere?|formulier|begründ)
            (?:e\b|en sie\b|e?n(?:\b(?= ?[.,;:!])|$))
        (?<![^.,;:!?—–] )\w{3,}t (?:auf|euch|auch|dabei|den|die|das|dem|wie|was|warum)\b
        (?:lies|lest|sieh|seht|nimm|gib|trau|vergiss|triff|stell|halt|such|denk|frag|merk|schau
            |hör
            |mach|geh|leg|setz|zeig|achtet|überlegt|prüft|versuch|wirf|sprich|miss|tritt)\b
        \w{3,}en sie (?:sich|auf|die|den|das|der|dem|beim|bei|im|jed\w+|wie|was|warum|welche|nach
            |mit|an|zu|diese\w?|nicht|dabei|stets|immer|genau|besonders|zuerst|zunächst|für|in)\b
        (?:beim|während des|vor dem|nach dem) lesens?\b[^.?!]*\w{3,}(?:en|ern|eln)(?:[.!]|$)
        (?:empfiehlt sich|lohnt|gilt es|ist es wichtig|wichtig ist)\b
    """,
    "fr": r"""
        (?!assez\b|chez\b|nez\b|rez\b|rendez\b)\w{2,}ez\b
        (?:vous|votre|vos|toi|ton|ta|tes|te)\b
        t'\w
        (?:il )?(?:faut|convient|importe|s'agit (?:de|d')\s?(?:\w+er|\w+ir|\w+re)|suffit)\b
        (?<![^.,;:!?—–] )\w{2,}(?:ons|ons-nous)\b
        (?<![^.;:!?—–] )(?:\w{3,}(?:er|ir|oir)|lire|relire|comprendre|suivre|mettre|prendre|dire
            |décrire|écrire|traduire|réduire|construire|faire|s'\w+er|se \w+er|ne pas \w+)\b
        (?<![^.,;:!?—–] )(?:et |puis |mais )?(?:cherche|lis|note|observe|regarde|compare|demande
            |essaie|prends|imagine|suis|garde|pense|concentre|repère|distingue|relève|analyse
            |examine|réfléchis|fais|mets|sois|retiens|identifie|explique|tente|reprends|vérifie
            |écoute|trouve|choisis|dessine|résume|relis|oublie|n'oublie|ne \w+ pas)\b
        le lecteur (?:doit|devra|peut|pourra)\b
        (?:lecture|attention) (?:à|aux|au)\b
    """,
    "es": r"""
        (?:tú|te|tus|tu|ti|usted|ustedes|contigo|vosotros|os)\b
        (?:conviene|hay que|debes?|vale la pena|procura|se recomienda|es (?:útil
            |importante|necesario|interesante|esencial|fundamental|recomendable|bueno) (?:que
            |\w+r))\b
        (?<![^.,;:!?—–¡] )(?:y |pero |luego |después )?[a-zñ]*[áéí]\w+(?:te|se|nos|los?|las?)\b
        (?<![^.,;:!?—–¡] )\w{2,}(?:monos|émonos|ate|ete|ite|amos|emos)\b
        (?<![^.;:!?—–¡] )\w{2,}(?:ar|er|ir|arse|erse|irse)\b
        (?<![^.,;:!?—–¡] )(?:y |pero |luego |no )?(?:observ[ae]|le[ea]|piens[ae]|busc[ae]|busque
            |compar[ae]|analiz[ae]|analice|examin[ae]|consider[ae]|imagin[ae]|sig[ue]e|sigue|siga
            |explica|explique|intent[ae]|trat[ae]|ten|tenga|ponga?|haz|haga|identific[ae]
            |identifique
            |distingu?[ea]|distinga|reflexion[ae]|prest[ae]|dedi[cq]u?[ae]|evalú[ae]|relacion[ae]
            |ordena|ordene|siente|sienta|averigua|averigüe|cuestion[ae]|resum[ea]|anot[ae]
            |escuch[ae]
            |record?a|recuerd[ae]|mir[ae]|descubr[ea]|profundi[zc][ae]|explor[ae]|memorices
            |olvid\w+
            |repas[ae]|comprueb[ae]|verifi[cq]u?[ae]|ley?endo|mantén|mantenga|adopt[ae]
            |aplic[ae])\b
    """,
    "pt": r"""
        (?:você|vocês|tu|te|ti|teus?|tuas?|contigo)\b
        (?:convém|é preciso|deve|vale a pena|vamos|procure|lembre|é (?:útil|importante
            |interessante|necessário
            |essencial|fundamental|recomendável|bom) (?:que|\w+r))\b
        (?<![^.,;:!?—–] )(?:e |mas |depois )?\w{3,}-se\b
        (?<![^.,;:!?—–] )\w{2,}(?:emos|amos)\b
        (?<![^.;:!?—–] )(?:não )?\w{2,}(?:ar|er|ir)\b
        (?<![^.,;:!?—–] )(?:e |mas |depois |não )?(?:observe|leia|pense|procure|compare|analise
            |examine|considere|imagine|siga|explique|tente|tenha|ponha|faça|identifique|distinga
            |reflita|reflicta|preste|dedique|avalie|relacione|ordene|descubra|questione|resuma
            |anote
            |escute|recorde|repare|acompanhe|verifique|mantenha|busque|note|atente|explore|aplique
            |decore|estime|acredite|confie|esqueça|separe|lembra|lê|pensa|procura|repara
            |observa)\b
    """,
    "it": r"""
        (?:tu|ti|te|tuo|tua|tuoi|tue|vi|voi|vostr[aeio])\b
        (?:occorre|bisogna|conviene|vale la pena|è (?:utile|importante|bene|interessante
            |necessario|fondamentale) (?:che|\w+re)|si (?:presti|rifletta|analizzi|esamini|valuti
            |confronti
            |legga
            |noti|consideri|osservi|cerchi|provi|tenga|ponga|faccia))\b
        (?<![^.,;:!?—–] )(?:e |ma |poi )?\w{3,}(?:ati|iti|eti|tevi|moci|iamo|ndoti)\b
        (?<![^.,;:!?—–] )\w{3,}(?:ate|ete|ite)\b
        (?<![^.;:!?—–] )(?:non )?\w{2,}(?:are|ere|ire|arsi|ersi|irsi)\b
        (?<![^.,;:!?—–] )(?:e |ma |poi )?(?:osserva|leggi|pensa|cerca|confronta|analizza|esamina
            |considera|immagina|segui|spiega|prova|tieni|poni|fai|fa'|individua|identifica
            |distingui
            |rifletti|presta|dedica|valuta|collega|ordina|controlla|verifica|riassumi|annota
            |ascolta
            |ricorda|nota|guarda|scopri|approfondisci|esplora|metti|chiedi|non \w+(?:ti|re))\b
    """,
    "nl": r"""
        (?:je|jij|jou|jouw|jezelf|u|uw|ons|we|wij)\b
        (?<![^.,;:!?—–] )(?:en |dan |maar )?(?:let|lees|volg|vraag|zoek|vergelijk|bedenk|denk|kijk
            |probeer|ga|houd|hou|stel|onderzoek|bekijk|noteer|onthoud|bepaal|onderscheid|merk|leer
            |analyseer|overweeg|beschouw|richt|concentreer|focus|luister|maak|neem|schrijf|teken
            |verdiep|verbind|leg|zet|geef|zie|ontdek|ontleed|reconstrueer|bestudeer|beoordeel)\b
        men (?:\w+e|moet|dient)\b
        (?:letten|lezen|zoeken|vergelijken|nadenken|onderzoeken|volgen)(?:[.,;:]|$| op\b| over\b
            | naar\b)
        (?:loont|belangrijk|de moeite)\b
    """,
    "pl": r"""
        (?:ci|cię|ciebie|tobie|tobą|twoj\w+|twój|sobie|wam|was)\b
        (?:warto|należy|trzeba|powin\w+|można|spróbuj\w*|proszę)\b
        \w{2,}[jćwlźńżmrpbz]cie\b
        (?<![^.,;:!?—–] )(?:i |a |ale |potem |nie )?(?!nad\b|pod\b|przed\b|przez\b|od\b|bez\b|po\b
            |poprzez\b|ponad\b|za\b|to\b|choć\b|lecz\b|gdyż\b|zaś\b|już\b|też\b|dziś\b|wciąż\b
            |teraz\b
            |oraz\b|wraz\b|raz\b|jeśli\b|coś\b|ktoś\b)\w{2,}(?:[jźćńżplsśzd]|sz|ów|rz)\b
        (?<![^.,;:!?—–] )\w{3,}my\b
        (?<![^.;:!?—–] )\w{3,}[ćc]\b
    """,
    "ru": r"""
        \w{2,}(?:йте|ите|ьте|ете)(?:сь)?\b
        (?:давай|следует|стоит|нужно|важно|надо|необходимо|полезно|пусть|попробу\w+|вам|вас|вы
            |ваш\w*
            |тебе|тебя|ты|твой\w*|твои\w*|сосредоточ\w+)\b
        (?<![^.,;:!?—–] )(?:и |а |но |потом |затем |не )?(?:подумай|читай|прочти|прочитай|сравни
            |следи|найди|ищи|обрати|представь|спроси|проследи|отметь|заметь|запомни|учти|смотри
            |посмотри|определи|выдели|объясни|разбери|раздели|отдели|постарайся|задай|выясни
            |проверь
            |оцени|свяжи|вообрази|помни|держи|верь|ответь|выпиши|нарисуй|перескажи|узнай|реши)\b
        (?<![^.;:!?—–] )(?:не )?\w{3,}(?:ть|ться|ти)\b
        читател\w+ (?:должен|может|предстоит)\b
    """,
    "uk": r"""
        \w{2,}(?:йте|іть|ете|ріть|жте|ьте|ште|фте|вте)(?:ся)?\b
        (?:вам|вас|ви|ваш\w*|тобі|тебе|ти|твій|твої\w*|собі|варто|слід|потрібно|треба|необхідно
            |важливо|давайте|спробу\w+|нехай|хай)\b
        (?<![^.,;:!?—–] )(?:і |й |та |а |але |потім |не )?(?:подумай|читай|прочитай|порівняй|стеж
            |знайди|шукай|зверни|уяви|запитай|простеж|познач|пам'ятай|дивись|визнач|поясни
            |спитай|поміркуй|зосередься|досліди|оціни|розглянь|поглянь|помічай|тримай|відстеж)\b
        (?<![^.;:!?—–] )(?:не )?\w{3,}(?:ти|тися|тись)\b
    """,
    "cs": r"""
        \w{2,}(?:jte|ete|ěte|ste|ďte|ňte|žte|čte|lte|vte|zte)\b
        (?:vám|vás|vy|váš|vaš\w+|tobě|tebe|ty|tvůj|tvé|sobě|zkus|všímej|přemýšlej|sleduj|porovnej
            |hledej|zamysli|čti|představ|polož|ptej|najdi|pokus|zvaž|uvažuj|prozkoumej|soustřeď)\b
        (?<![^.;:!?—–] )(?:ne)?\w{3,}[aeiíyá]t\b
        (?:stojí za|je (?:třeba|dobré|důležité))\b
    """,
    "sv": r"""
        (?:du|dig|din|ditt|dina|ni|er|era|oss|vi|dej|själv)\b
        (?<![^.,;:!?—–] )(?:och |men |sedan )?(?:fundera|lägg|tänk|läs|följ|jämför|leta|fråga
            |notera|försök|föreställ|undersök|reflektera|uppmärksamma|fokusera|ta|sök|se|var
            |gör|ställ|håll|granska|utforska|överväg|betrakta|koncentrera|stanna|skilj|ge|låt)\b
        när du\b
    """,
    "id": r"""
        (?:anda|kamu|kalian|dirimu|mari|ayo|marilah|coba|cobalah|jangan|kita|silakan|hendaknya)\b
        (?!adalah|ialah|telah|setelah|masalah|sekolah|jumlah|istilah|wilayah|sejumlah|inilah|itulah
            |salah|sebelah|limbah)\w{3,}lah\b
        (?<![^.,;:!?—–] )(?:lalu |dan |kemudian |serta )?(?!me|di|ter|ber|akan\b|bukan\b|ikan\b)
            \w{3,}kan\b
        (?<![^.,;:!?—–] )(?:lalu |dan |kemudian |serta )?(?:cari|baca|simak|amati|telusuri|cermati
            |pelajari|bayangkan|ikuti|hubungi|nilai|tinjau|pahami|telaah|jelajahi|dalami|kenali)\b
    """,
    "vi": r"""
        (?:hãy|bạn|các bạn|em|đừng|thử|chúng ta|mình)\b
        (?<![^.,;:!?—–] )(?:và |rồi |đồng thời |cùng )?(?:suy ngẫm|suy nghĩ|chú ý|tập trung|so sánh
            |tìm|phân tích|theo dõi|đọc|quan sát|xem|ghi|đặt|tưởng tượng|hình dung|khám phá
            |cân nhắc|liên hệ|lưu ý|tự hỏi|đánh giá|xác định|phân biệt|nghĩ|trả lời|giải thích
            |nhận diện|kết nối|dành|để ý|chiêm nghiệm|đối chiếu|lắng nghe|giữ|cùng)\b
    """,
    "tr": r"""
        (?!metin\b)(?:\w+[ıiuü]n(?:[ıiuü]z)?|\w+[ae]l[ıi]m|\w+m[ae]l[ıi]\w*|oku|bak|düşün|bul
            |izle|ara|et|sor
            |dene|tut|çalış|yaz|çiz|ayır|incele|unutma|al|et|ol|kur|gör|ver|yap|tanı|seç|anlat
            |göster
            |araştır|tartış|bulundur|keşfet|sına|kal|geç|özetle|açıkla|yorumla|hatırla|başla
            |gözlemle
            |\w+(?:landır|lendir|[lş][ae]ştır|[ıiuü]ştir|laştır|leştir|gula|cele
            )|odaklan|yararlan|faydalan)(?:[.,;:!—–…]|$| ve\b| ya da\b)
        (?:siz|sizin|sizce|sen|senin|kendine|kendinize|gerekir|önemli)\b
    """,
    "zh": r"""
        ~[请請你您咱]|我们|自问|(?:应|需(?!要?(?:加以|得到|被))|值得|不妨|最好)
        ~(?:^|[。,;:!、—…?]|时|時|后|後|前|再|并|先|出发|来|去|一边|地)(?:并|先|再|也|试着|尝试
            |试|要|不要|别|多
            |就|一起|重新|重点|深入|仔细|认真|着重|逐一|逐步|始终|让)*(?:思考|注意|关注|留意|想
            |体会|比较|区分|分析
            |观察|寻找|试着|尝试|阅读|读|看|找|跟随|跟着|问|追问|理解|把握|考虑|结合|聚焦|弄清
            |记住|不要|别|带着
            |假设|假如|设想|想象|探究|探索|梳理|评估|思索|推敲|揣摩|判断|把|将|以(?!及)|用|画|列
            |说|代入|站在|对照|对比
            |联系|追踪|追溯|标|圈|留心|学|掌握|反思|设身处地|从|围绕|沿着|抓住|检验|检查|回顾
            |总结|解释|质疑)(?!\w?了)
    """,
    "ja": r"""
        ~ください|下さい|ましょう|なさい|でしょう|だろう|みて|べき|ほしい|たい[。、]|せよ|しろ[。]
        ~(?:よう|おう|こう|もう|そう|ろう|とう|ごう|ぼう|のう)[。、!]?(?:$|(?<=[。、!]))
        ~(?:こと|か|注目|着目|留意)[。]?$|(?:こと|か|注目|着目|留意)。|注目し|着目し|意識し
    """,
    "ko": r"""
        ~세요|시오|십시오|십시다|시다|는가|까[.]?$|나요|보기[.]?$|것[.]?$|것[.]|바랍니다|바란다
            |해야 (?:합|한)|필요가 있|면 좋|보자
        ~(?:[가-힣]자|라|기)[.!]?$|(?:[가-힣]자|아라|어라|여라|하라|거라)[.!,]
    """,
    "ar": r"""
        ~(?<!\w)[وف]?(?:ركز|انتبه|لاحظ|فكر|اسأل|اقرأ|قارن|حاول|تتبع|ابحث|تخيل|حلل|تأمل|ميز|اربط
            |حدد|راقب
            |استخرج|اكتشف|انظر|ضع|تذكر|استكشف|فسر|قيم|لخص|ارسم|رتب|تعمق|اهتم|احرص|افترض|دقق|تساءل
            |اجعل
            |خذ|استمع|اعتبر|ادرس|راجع|افحص|تحقق|استنتج|أجب|اذكر|اشرح|عد|فرق|تصور|تمعن|كن|افهم|اسع
            |تابع
            |أعد|اكتب|ابدأ|توقف|احسب|وازن|لا ت\w+)\w{0,3}(?!\w)
        ~(?<!\w)(?:لن[تنرف]\w+|نفسك|عليك|يجب|ينبغي|أنت|يفضل|يستحسن|لنتأمل|لنفكر|من المهم|من المفيد
            |يحسن|يمكنك|لديك)(?!\w)
    """,
    "hi": r"""
        ~(?:िए|िये|इए|इये|िएगा|इएगा|ाइए|ओ|ो|ें|एँ|एं|ना)(?=\s?(?:[।,;:!?—–]|$|कि\s|और\s|तथा\s|कौन
            |क्या|किस))
        ~(?:आइए|आइये|आप|अपने आप|स्वयं से|चाहिए|ध्यान (?:दें|दीजिए|रखें|से)|करें|दें|पढ़ें|सोचें
            |देखें|कीजिए|दीजिए)
    """,
}
"""By language, signs of an appeal to the reader; in the notation of `phrases`."""

ANNOUNCEMENTS = (
    r"\byou(?:'ll| will| are going to|'re going to| can expect to| get to) (?:\w+ly )?(?:learn"
    r"|discover|find out|explore|see how|read about|be introduced|encounter|understand)\b"
    r"|\b(?:shows?|teach(?:es)?|tells?|gives?|helps?|introduces?|takes?|provides?|offers?"
    r"|guides?) you\b"
)
"""In English, what a text will do for "you" asks nothing of you."""

REPLIES = (
    r"^(?:yes|no|yeah|nope|correct|ja|nein|doch|nee|oui|non|si|sí|sim|não|sì|tak|nie|да|нет|так|ні"
    r"|evet|hayır|是的|是|不是|不|对|答|はい|いいえ|네|예|아니요|아니오|نعم|كلا|हाँ|हां|नहीं)[,.:;،、。।:](?!と)\s*"
)
"""Words that answer a question."""
